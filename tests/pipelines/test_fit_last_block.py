"""The last block learns from its inputs alone, and nothing before it changes."""

import pytest
import torch

from models.last_block import TILE, BlockImage, last_weights, padded
from models.network import SegmentationNet
from models.training import Schedule
from pipelines.fit_last_block import fit, read_images, start_anew, write_image
from triage.anatomy import N_CLASSES

SCHEDULE = Schedule(iterations=12, learning_rate=1e-2, warm_up=2)


def _net() -> SegmentationNet:
    torch.manual_seed(0)
    return SegmentationNet(3, widths=(4, 2, 2, 2, 2)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> list[BlockImage]:
    """The class of a cell is the largest of its first three inputs."""
    found = []
    for number in range(2):
        inputs = torch.randn(8, TILE, TILE, 2 * TILE, generator=torch.Generator().manual_seed(number))
        classes = inputs[:3].argmax(dim=0).to(torch.uint8)
        for axis in range(3):
            classes = classes.repeat_interleave(2, dim=axis)
        found.append(BlockImage(subject=f"subject_{number}", inputs=padded(inputs), classes=classes))
    return found


def _right(net: SegmentationNet, image: BlockImage) -> float:
    inputs = image.inputs[2:-2, 2:-2, 2:-2, :-1].permute(3, 0, 1, 2)[None].float()
    labels = net.head(net.trunk.decoder[0](inputs))[0].view(3, 8, *inputs.shape[2:]).argmax(dim=0)[0]
    return float((labels == image.classes[::2, ::2, ::2]).float().mean())


def test_the_last_block_learns_what_its_inputs_tell(images):
    net = _net()
    before = _right(net, images[0])

    net.load_state_dict(net.state_dict() | fit(net, images, SCHEDULE))

    assert before < 0.5
    assert _right(net, images[0]) > before + 0.1


def test_it_gives_the_weights_of_the_last_block_and_the_head_and_changes_none_before(images):
    net = _net()
    before = {name: value.clone() for name, value in net.state_dict().items()}

    found = fit(net, images, SCHEDULE)

    assert found.keys() == last_weights(net).keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items() if name not in found)


def test_the_same_seed_fits_the_same_weights(images):
    first, second = fit(_net(), images, SCHEDULE), fit(_net(), images, SCHEDULE)

    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_random_weights_are_those_of_the_seed_and_reach_only_the_last_block():
    net = SegmentationNet(N_CLASSES)
    before = {name: value.clone() for name, value in net.state_dict().items()}

    start_anew(net, seed=1)
    first = {name: value.clone() for name, value in net.state_dict().items()}
    start_anew(net, seed=1)

    differs = {name for name, value in first.items() if not torch.equal(value, before[name])}
    assert differs == {name for name in last_weights(net) if "norm" not in name}
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in first.items())


def test_images_come_back_as_they_were_written_in_the_order_of_their_numbers(images, tmp_path):
    for number, image in enumerate(images):
        write_image(image, tmp_path / "new", number)

    back = read_images(tmp_path / "new")

    assert [image.subject for image in back] == ["subject_0", "subject_1"]
    for found, image in zip(back, images, strict=True):
        assert torch.equal(found.inputs, image.inputs)
        assert torch.equal(found.classes, image.classes)
