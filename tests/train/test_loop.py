"""The loop against a plain PyTorch loop, on tiny tensors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from timm.optim.lookahead import Lookahead
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.errors import Diverged, PlanError
from frostline.events import Epoch, Step
from frostline.net.freeze import Group
from frostline.train.device import Device, open_device
from frostline.train.ema import WeightEMA
from frostline.train.loader import Batch, Order, Rows, Stored
from frostline.train.loop import State, predict, train
from frostline.train.loss import Objective
from frostline.train.lr_finder import range_test, seconds_a_step
from frostline.train.optimizer import make_optimizer, optimizers
from frostline.train.plan import Recipe
from frostline.train.schedule import Schedule
from frostline.train.task import Task

N, D, K = 26, 5, 3
X = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
Y = torch.randint(K, (N,), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def machine() -> Device:
    return open_device("cpu", "fp32")


def plain_net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, K))


def moody_net() -> nn.Module:
    """With running statistics and with dropout."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, K))


def rows(batch_size: int = 8, x: Tensor = X) -> Stored:
    return Stored(Order(N, batch_size, seed=0), [lambda indices: x[indices].numpy()], Y)


def groups(net: nn.Module, lr: float = 0.05) -> tuple[Group, ...]:
    return (Group("head", lr, 0.0, tuple(name for name, _ in net.named_parameters())),)


@dataclass
class Run:
    """What a training run left behind."""

    net: nn.Module
    losses: list[float] = field(default_factory=list)
    events: list[Step | Epoch] = field(default_factory=list)


def task(
    machine: Device,
    net: nn.Module,
    recipe: Recipe,
    data: Rows | None = None,
    own: tuple[Group, ...] = (),
    objective: Objective | None = None,
) -> Task:
    return Task(
        net, objective or Objective(K), own or groups(net), recipe, data or rows(recipe.batch_size), machine,
        prepare=torch.Tensor.float,
    )  # fmt: skip


def run(
    machine: Device,
    net: nn.Module,
    recipe: Recipe,
    *,
    data: Stored | None = None,
    epochs: int = 3,
    lr: float = 0.05,
    average: WeightEMA | None = None,
    state: State | None = None,
) -> Run:
    data = data or rows(recipe.batch_size)
    done = Run(net)
    optimizer, schedule = make_optimizer(net, groups(net, lr), recipe), Schedule("constant", epochs, data.order.steps)
    for event in train(task(machine, net, recipe, data), optimizer, schedule, state or State(), average=average):
        done.events.append(event)
        if isinstance(event, Step):
            done.losses.append(event.loss.item())
    return done


def plain_loop(
    net: nn.Module, optimizer: torch.optim.Optimizer, *, batch_size: int = 8, epochs: int = 3
) -> list[float]:
    losses = []
    for epoch in range(epochs):
        net.train()
        for indices, _, _ in Order(N, batch_size, seed=0).epoch(epoch):
            loss = F.cross_entropy(net(X[indices]), Y[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if isinstance(optimizer, Lookahead):
            optimizer.sync_lookahead()  # as timm's train.py does at an epoch's end
    return losses


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


PLAIN: dict[str, Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.0),
    "lookahead_sgd": lambda p: Lookahead(torch.optim.SGD(p, lr=0.05, momentum=0.9)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_losses_and_weights_are_those_of_a_plain_loop(machine: Device, name: str) -> None:
    ours, theirs = moody_net(), moody_net()
    torch.manual_seed(7)
    losses = run(machine, ours, Recipe(batch_size=8, optimizer=name, clip=0.0)).losses
    torch.manual_seed(7)
    assert losses == plain_loop(theirs, PLAIN[name](theirs.parameters()))
    assert same(ours, theirs)


def test_lamb_is_timms_and_learns(machine: Device) -> None:
    from timm.optim import Lamb

    ours, theirs = plain_net(), plain_net()
    losses = run(machine, ours, Recipe(batch_size=8, optimizer="lamb", clip=0.0), epochs=10).losses
    assert losses == plain_loop(theirs, Lamb(theirs.parameters(), lr=0.05, weight_decay=0.0), epochs=10)
    assert sum(losses[-4:]) < sum(losses[:4])  # the last epoch and the first


def test_momentum_and_decay_reach_the_optimizer() -> None:
    net = plain_net()
    made = make_optimizer(
        net,
        (Group("head", 0.1, 0.3, ("2.weight",)), Group("stem", 0.2, 0.0, ("0.weight", "0.bias"))),
        Recipe(optimizer="sgd", momentum=0.7, clip=0.0),
    )
    keys = ("lr", "initial_lr", "weight_decay", "momentum", "nesterov", "name")
    assert [tuple(g[key] for key in keys) for g in made.param_groups] == [
        (0.1, 0.1, 0.3, 0.7, False, "head"),
        (0.2, 0.2, 0.0, 0.7, False, "stem"),
    ]  # fmt: skip
    assert made.param_groups[0]["params"][0] is net[2].weight


@pytest.mark.parametrize("name", ["sdg", "adahessian", "bnbadam", "kron", "lookahead_nothing"])
def test_unknown_optimizers_are_refused(name: str) -> None:
    with pytest.raises(PlanError, match=f"there is no optimizer '{name}'"):
        make_optimizer(plain_net(), groups(plain_net()), Recipe(optimizer=name, clip=0.0))
    assert {"sgd", "adamw", "lamb"} <= set(optimizers())


def test_events_tell_steps_epochs_rates_and_pictures(machine: Device) -> None:
    events = run(machine, plain_net(), Recipe(batch_size=8, optimizer="sgd", clip=0.0), epochs=2).events
    assert [type(event).__name__ for event in events] == (["Step"] * 4 + ["Epoch"]) * 2
    steps = [event for event in events if isinstance(event, Step)]
    assert [(s.epoch, s.step, s.pictures) for s in steps[3:6]] == [(0, 4, 2), (1, 5, 8), (1, 6, 8)]
    assert all(step.rates == (0.05,) and step.stepped and not step.loss.requires_grad for step in steps)
    assert [event.epoch for event in events if isinstance(event, Epoch)] == [0, 1]


@pytest.mark.parametrize("accumulate", [2, 3])
def test_accumulating_k_batches_is_a_batch_k_times_as_large(machine: Device, accumulate: int) -> None:
    small, large = plain_net(), plain_net()
    run(machine, small, Recipe(batch_size=4, accumulate=accumulate, optimizer="sgd", clip=0.0))
    run(machine, large, Recipe(batch_size=4 * accumulate, optimizer="sgd", clip=0.0))
    for a, b in zip(small.parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert not same(small, plain_net())


def test_pending_gradients_are_told(machine: Device) -> None:
    events = run(machine, plain_net(), Recipe(batch_size=4, accumulate=3, clip=0.0), epochs=1).events
    assert [e.stepped for e in events if isinstance(e, Step)] == [False, False, True, False, False, True, True]


def test_clip_bounds_the_norm_of_a_step(machine: Device) -> None:
    def moved(clip: float) -> float:
        net = plain_net()
        before = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
        run(machine, net, Recipe(batch_size=N, optimizer="sgd", momentum=0.0, clip=clip), epochs=1, lr=1.0)
        return float((nn.utils.parameters_to_vector(net.parameters()).detach() - before).norm())

    free = moved(0.0)
    assert moved(free / 3) == pytest.approx(free / 3, rel=1e-4)
    assert moved(free * 3) == free


def test_the_average_follows_the_optimizers_steps(machine: Device) -> None:
    net = plain_net()
    average = WeightEMA(net, 0.5)
    recipe = Recipe(batch_size=4, accumulate=2, optimizer="sgd", clip=0.0)
    run(machine, net, recipe, epochs=2, average=average)
    assert average.updates == 8  # seven batches an epoch make four steps
    assert not torch.equal(average.values["2.weight"], net[2].weight)

    other, expected = plain_net(), None
    optimizer = make_optimizer(other, groups(other), recipe)
    for event in train(task(machine, other, recipe), optimizer, Schedule("constant", 2, 7), State()):
        if isinstance(event, Step) and event.stepped:
            start = plain_net()[2].weight.detach() if expected is None else expected[0]
            t = 1 if expected is None else expected[1] + 1
            decay = min(0.5, (1 + t) / (10 + t))
            expected = decay * start + (1 - decay) * other[2].weight.detach(), t
    assert expected is not None
    torch.testing.assert_close(average.values["2.weight"], expected[0])


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_going_on_from_a_state_is_never_having_stopped(machine: Device, stop: int) -> None:
    recipe = Recipe(batch_size=8, optimizer="adamw", clip=1.0)

    def steps(net: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> Iterator[Step | Epoch]:
        schedule = Schedule("cosine", 3, 4, warmup=1)
        return train(task(machine, net, recipe), optimizer, schedule, state)

    straight, stopped = moody_net(), moody_net()
    torch.manual_seed(3)
    list(steps(straight, make_optimizer(straight, groups(straight), recipe), State()))
    torch.manual_seed(3)
    optimizer, state = make_optimizer(stopped, groups(stopped), recipe), State()
    for event in steps(stopped, optimizer, state):
        if isinstance(event, Step) and event.step == stop:
            break
    list(steps(stopped, optimizer, replace(state)))
    assert same(straight, stopped)


def test_a_loss_that_is_not_finite_stops_before_the_step(machine: Device) -> None:
    poisoned = X.clone()
    where = next(iter(Order(N, 8, seed=0).epoch(0, after=2)))[0][0]
    poisoned[where] = float("nan")
    net, state = plain_net(), State()
    with pytest.raises(Diverged, match=r"(?s)the loss is nan at rates 0\.05.*epoch 1, batch 3 \(step 2\).*--lr 0\.005"):
        run(machine, net, Recipe(batch_size=8, optimizer="sgd", clip=0.0), data=rows(x=poisoned), state=state)
    assert all(p.isfinite().all() for p in net.parameters())
    assert (state.step, state.batch) == (2, 2)
    # What the failed batch left behind does not reach the next phase.
    again = run(machine, net, Recipe(batch_size=8, optimizer="sgd", clip=0.0))
    assert np.isfinite(again.losses).all()


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_stops_before_the_step(machine: Device, clip: float) -> None:
    class Steep(nn.Module):
        """Its value is finite where its slope is not."""

        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(K))

        def forward(self, x: Tensor) -> Tensor:
            return (self.w.abs().sqrt() + x[:, :K]) * 1.0

    net = Steep()
    with pytest.raises(Diverged, match="the gradient's norm is"):
        run(machine, net, Recipe(batch_size=8, optimizer="sgd", clip=clip))
    assert torch.equal(net.w.detach(), torch.zeros(K))


def test_rates_that_are_too_high_end_in_diverged_with_finite_weights(machine: Device) -> None:
    net = plain_net()
    net[1] = nn.Identity()
    with pytest.raises(Diverged):
        run(machine, net, Recipe(batch_size=8, optimizer="sgd", clip=0.0), epochs=200, lr=1e9)
    assert all(p.isfinite().all() for p in net.parameters())


def test_predict_is_in_eval_mode_and_whole(machine: Device) -> None:
    net = moody_net().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    logits = predict(net, lambda i: X[i].numpy(), N, machine, prepare=torch.Tensor.float, batch_size=7)
    assert net.training
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert logits.dtype == np.float32
    torch.testing.assert_close(torch.from_numpy(logits), net.eval()(X).detach())


class Loud:
    """Rows that fail if a phase reads further than a rehearsal should. prefetched: as processes would."""

    def __init__(self, data: Stored, prefetched: int = 0) -> None:
        self.order, self.data, self.read, self.prefetched = data.order, data, 0, prefetched

    def epoch(self, epoch: int, *, after: int = 0) -> Iterator[Batch]:
        for batch in self.data.epoch(epoch, after=after):
            self.read += 1
            yield batch


def test_rehearsals_leave_no_trace(machine: Device) -> None:
    net = moody_net().eval()
    net[0].bias.requires_grad_(False)
    own = (Group("head", 0.05, 0.1, tuple(n for n, p in net.named_parameters() if p.requires_grad)),)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.manual_seed(11)
    random = torch.get_rng_state()
    data = Loud(rows())
    recipe = Recipe(optimizer="adamw", clip=0.0)
    seconds = seconds_a_step(task(machine, net, recipe, data, own))
    assert data.read == 5
    assert 0 < seconds < 60
    ahead = Loud(rows(), prefetched=3)
    seconds_a_step(task(machine, net, recipe, ahead, own))
    assert ahead.read == 8  # what was decoded before the first was asked for says nothing of decoding
    range_test(task(machine, net, recipe, data, own, Objective(K, mixup=0.3)), steps=20)
    assert 5 < data.read <= 45  # the range test sees its batches twice
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not net.training
    assert all(p.grad is None for p in net.parameters())


def test_the_range_test_finds_a_rate_that_learns(machine: Device) -> None:
    recipe = Recipe(batch_size=8, optimizer="sgd", momentum=0.0, clip=0.0)

    def found(lr: float) -> float:
        net = plain_net()
        return range_test(task(machine, net, recipe, rows(), groups(net, lr)))

    low, high = found(1e-3), found(1.0)
    # The rate it ends at does not depend much on the rate it began with.
    assert 0.1 < (low * 1e-3) / high < 10
    assert 0.03 < high < 30
    assert run(machine, plain_net(), recipe, lr=high, epochs=30).losses[-1] < 0.8


def test_a_range_test_that_never_falls_changes_nothing(machine: Device) -> None:
    net = plain_net()
    hopeless = rows(x=torch.full_like(X, float("nan")))
    assert range_test(task(machine, net, Recipe(optimizer="sgd", clip=0.0), hopeless)) == 1.0
    assert all(p.isfinite().all() for p in net.parameters())
