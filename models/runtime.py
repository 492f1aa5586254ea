"""Where the trunk runs: OpenVINO on a CPU, torch as the reference, CUDA when there is one."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from models.network import SMALLEST_SIDE, require_sides

Runner = Callable[[Tensor], Tensor]
"""Image (X, Y, Z) float32 -> features (F, X/2, Y/2, Z/2) float32 on the CPU."""


def torch_runner(trunk: nn.Module) -> Runner:
    """The reference path, eager torch on the CPU."""

    def run(image: Tensor) -> Tensor:
        with torch.inference_mode():
            features: Tensor = trunk(image[None, None])[0]
            return features

    return run


def cuda_runner(trunk: nn.Module) -> Runner:
    """torch on the first GPU, full precision."""
    on_gpu = trunk.to("cuda")

    def run(image: Tensor) -> Tensor:
        with torch.inference_mode():
            features: Tensor = on_gpu(image[None, None].to("cuda"))[0]
            return features.cpu()

    return run


def openvino_runner(trunk: nn.Module) -> Runner:
    """OpenVINO on the CPU in full precision, one compiled model for every image size."""
    import logging
    import sys
    import warnings

    # OpenVINO reports its own import and every conversion to a public server, from a forked process that can hang the
    # program at its end. Without the package that does it, it takes its own stub.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    logging.getLogger("openvino").setLevel(logging.ERROR)
    example = torch.zeros(1, 1, *[SMALLEST_SIDE] * 3)
    with warnings.catch_warnings():
        # What is traced as constant are checks of the sides and the channels; `make_runner` does that of the sides.
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python boolean")
        # Left to itself OpenVINO traces and then checks the trace, which takes two seconds of every start.
        traced = torch.jit.trace(trunk, example, check_trace=False)  # type: ignore[no-untyped-call]
        converted = openvino.convert_model(traced, example_input=example)
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(converted, "CPU", hints)

    def run(image: Tensor) -> Tensor:
        return torch.from_numpy(compiled(image[None, None].numpy())[0][0].copy())

    return run


RUNNERS: Mapping[str, Callable[[nn.Module], Runner]] = {
    "openvino": openvino_runner,
    "torch": torch_runner,
    "cuda": cuda_runner,
}


def make_runner(trunk: nn.Module, device: str = "auto") -> tuple[str, Runner]:
    """The runner of that name, with its name; "auto" is cuda when there is one, else openvino."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "openvino"
    runner = RUNNERS[device](trunk)

    def run(image: Tensor) -> Tensor:
        require_sides(image.shape)
        return runner(image)

    return device, run
