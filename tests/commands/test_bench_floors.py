"""The floors of the benchmark do the same work: their numbers agree with those of the tasks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import design_space as ds
from design_space.commands.bench import gaussian, line, tables, trained_designs, training
from design_space.commands.bench import numpy_forms as forms
from design_space.scores.relu_network import relu_network
from design_space.sweeps.content import compute
from design_space.sweeps.plan import plan
from design_space.sweeps.reading import read_sweep
from design_space.sweeps.store import Store


class TestNumpyForms:
    """The floors are right: an independent form of the same numbers."""

    def test_gaussian_designs_agree_with_the_sweep(self, tmp_path):
        size = gaussian.Size(4, 3, dim=5, steps=20)
        manifest = plan(gaussian.specification(size), piece=size.designs)
        with Store(tmp_path / "out", manifest, pytest.fail) as store:
            store.put(0, compute(manifest, 0))
        table = read_sweep(tmp_path / "out")
        ours = gaussian.levels(size)
        for block in (1, 5):
            found = forms.gaussian_in_blocks(gaussian.eigenvalues(size), ours, block)
            assert set(found) == {
                "initialization",
                "discretization",
                "path_kl",
                "marginal_kl",
                "w2",
            }
            for name, values in found.items():
                # plain logarithms lose digits where x is small; the sums are dominated by the rest
                np.testing.assert_allclose(values, table[name], rtol=1e-9, err_msg=name)

    def test_gaussian_designs_agree_with_the_vmapped_call(self):
        size = gaussian.Size(4, 3, dim=5, steps=20)
        own, sigmas = gaussian.eigenvalues(size), gaussian.levels(size)
        found = forms.gaussian_errors(own, sigmas)
        names = ("initialization", "discretization", "marginal_kl")
        for name, values in zip(names, gaussian.vectorized(own, sigmas)(), strict=True):
            np.testing.assert_allclose(values, found[name], rtol=1e-9, err_msg=name)  # as above

    def test_levels_are_those_of_edm(self):
        schedule = ds.edm(7, sigma_min=0.1, sigma_max=20.0, rho=5.0)
        given = (np.array([x]) for x in (5.0, 0.1, 20.0))
        ours = forms.edm_sigmas(*given, 7)[0]
        np.testing.assert_allclose(ours, schedule.backward_sigmas, rtol=1e-13)

    def test_the_dense_rule_gives_the_marginal_kl(self, tmp_path):
        size = line.DENSITY.tiny
        works = line.prepare_density(size, tmp_path)
        # both are spectrally accurate: 512 points are 15 a standard deviation of the last step
        dense, ours = works["dense"].run(), float(works["density"].run())
        assert ours > 1e-3
        np.testing.assert_allclose(dense, ours, rtol=1e-8)

    def test_scores_and_densities_are_those_of_the_target(self):
        target = ds.GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [0.5]], [0.2, 0.4])
        law = forms.Mixture(np.array([0.3, 0.7]), np.array([-1.0, 0.5]), np.array([0.2, 0.4]))
        x, sigma = np.linspace(-3, 3, 11), 0.3
        score = jax.vmap(lambda y: ds.exact_score(target)(y[None], sigma)[0])(x)
        np.testing.assert_allclose(law.score(x, sigma**2), score, rtol=1e-12)

    def test_particles_have_the_law_of_ours(self):
        count, steps = 20_000, 20
        rng = np.random.default_rng(0)
        schedule, score = ds.edm(steps), ds.exact_score(line.target())
        theirs = forms.particles(line.LAW, np.asarray(schedule.backward_sigmas), count, rng)
        size = line.ParticleSize(count, steps)
        ours = ds.simulate(score, schedule, jax.random.key(0), count=count, dim=1).particles[:, 0]
        assert size.count == len(ours)
        for power in (1, 2):
            a, b = theirs**power, np.asarray(ours) ** power
            error = math.hypot(np.std(a), np.std(b)) / math.sqrt(count)
            assert abs(np.mean(a) - np.mean(b)) < 4 * error  # four standard errors, fixed seeds

    def test_heun_is_that_of_ours(self):
        schedule, score = ds.edm(8), ds.exact_score(line.target())
        sigmas = np.asarray(schedule.backward_sigmas)
        theirs = forms.heun_particles(line.LAW, sigmas, 100, np.random.default_rng(0))
        y = jnp.asarray(sigmas[0] * np.random.default_rng(0).standard_normal(100))[:, None]
        (moves,) = ds.FlowHeun().moves(schedule)
        for j in range(8):
            move = jax.tree.map(lambda a, j=j: a[j], moves)
            y = jax.vmap(lambda x, m=move: m.mean(score, x))(y)
        # a few roundings of numbers of size 300 in each step, stretched where modes part
        np.testing.assert_allclose(theirs, y[:, 0], rtol=0, atol=1e-9)


class TestTraining:
    def test_networks_together_are_networks_apart(self, tmp_path):
        size = training.ENSEMBLE.tiny
        works = training.prepare_ensemble(size, tmp_path)
        together, apart = works["together"].run(), works["apart"].run()
        together = together[0] if isinstance(together, tuple) else together
        assert len(apart) == size.members
        for i, alone in enumerate(apart):
            own = jax.tree.map(lambda leaf, i=i: leaf[i], together)
            for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(alone), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5)  # float32, a few steps

    def test_the_products_are_those_of_the_network(self, tmp_path):
        size = training.StepSize(6, points=3, levels=2, steps=1)
        made = np.asarray(training.prepare_step(size, tmp_path)["products"].run())
        network = relu_network(jax.random.key(1), training.DIM, 6, 1, "float32")
        inputs = np.asarray(training._inputs(training.training_set(3, 2)), np.float64)
        first, hidden, last = (
            np.asarray(w) for w in (network.first, *network.hidden, network.last)
        )
        outputs = np.einsum("bi,wi->bw", inputs, first)
        slopes = np.einsum("bw,vw,dv,du->bu", outputs, hidden, last, last)
        wanted = np.einsum("bu,bw->uw", slopes, outputs)
        np.testing.assert_allclose(made, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())

    @pytest.mark.slow
    def test_designs_together_are_designs_apart(self, tmp_path):
        size = trained_designs.FAMILY.tiny
        works = trained_designs.prepare(size, tmp_path)
        together, apart = works["together"].run(), works["apart"].run()
        assert together.shape == (2, 2, 2, 8)
        for i, alone in enumerate(apart):
            # the same program batched: a few roundings, magnified by cancellation in E_S
            np.testing.assert_allclose(together[0, i, i], alone, rtol=1e-8, atol=1e-12)


class TestTables:
    def test_the_pieces_hold_all_rows_and_numbers(self, tmp_path):
        size = tables.FAMILY.tiny
        works = tables.prepare(size, tmp_path)
        found = works["read"].run()
        assert found.shape == (size.rows, size.columns)
        packed = works["unpack"].run()
        assert sum(map(len, packed)) == 8 * size.measured * size.rows
