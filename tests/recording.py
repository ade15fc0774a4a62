"""CUDA graphs without a GPU: a call is recorded operator by operator, and replayed in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
READS = (
    aten._local_scalar_dense, aten.nonzero, aten.nonzero_numpy, aten.masked_select, aten.equal,
    aten.is_nonzero, aten._unique, aten._unique2, aten.unique_consecutive, aten.unique_dim,
)  # fmt: skip


class HostRead(RuntimeError):
    """The host would wait for the device, for a number or a shape: no graph can be captured."""

    def __init__(self, func: Any) -> None:
        super().__init__(f"{func} reads what is on the device")


class Recording(TorchDispatchMode):
    """What a call does, as a CUDA graph has it: operators, numbers and places in memory are fixed.

    As after a capture nothing has been computed or drawn: what the call changed is put back. A replay runs
    the same operators on the same tensors, and nothing of Python.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        """Record.

        Raises:
            HostRead: the call looks at a tensor.
        """
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self._before: dict[int, tuple[Any, Any]] = {}  # storages that are written to, as they were
        try:
            with torch.random.fork_rng(devices=[]), self:
                self.value = call()
        finally:
            for storage, saved in self._before.values():
                storage.copy_(saved)
            self._before.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func.overloadpacket in READS or picks_by_truth(func, args):
            raise HostRead(func)
        for tensor in written(func, args, given):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._before:
                self._before[storage.data_ptr()] = storage, storage.clone()
        found = func(*args, **given)
        self.calls.append((func, args, given, found))
        return found

    def replay(self) -> None:
        """Run what was recorded; results are where they were."""
        with torch._C._AutoDispatchBelowAutograd():
            for func, args, kwargs, place in self.calls:
                found = func(*args, **kwargs)
                for old, new in zip(tree_leaves(place), tree_leaves(found), strict=True):
                    if isinstance(old, Tensor) and not same_storage(old, new):
                        old.copy_(new)


def picks_by_truth(func: Any, args: Any) -> bool:
    """Say whether elements are picked by truth values: how many there are, the host has to ask."""
    picks = args[1] if func.overloadpacket in (aten.index, aten.index_put, aten.index_put_) else ()
    return any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in picks)


def same_storage(a: Tensor, b: Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def written(func: Any, args: Any, kwargs: Any) -> Iterator[Tensor]:
    """Yield the tensors that an operator writes to; batch norm does not say that it does."""
    if func.overloadpacket is aten.native_batch_norm:
        yield from (x for x in args[3:5] if x is not None)  # running mean and variance
    for number, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[number] if number < len(args) else kwargs.get(argument.name)
            yield from (x for x in tree_leaves(value) if isinstance(x, Tensor))
