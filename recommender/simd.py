"""One loop written for the vector unit: bytes times shorts, which LLVM finds in no Python loop at full width.

A processor multiplies shorts and adds neighbours in one step (x86: ``vpmaddwd``). From a plain loop LLVM makes that
step at half of AVX2's width. Told of products whose even and odd places are added, it makes it at the width there is.
The instructions are LLVM's general ones, so that other processors have their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

LANES: Final = 16
"""Products of one step."""

_PAIRS = LANES // 2
_INT = ir.IntType(32)
_PRODUCTS, _SUMS = ir.VectorType(_INT, LANES), ir.VectorType(_INT, _PAIRS)


def _product_of(typingctx: Any, codes: Any, start: Any, coded: Any, width: Any) -> tuple[Any, Callable[..., Any]]:
    del typingctx
    return types.int32(codes, start, coded, width), _dot


product_of: Final[Any] = intrinsic(_product_of)
"""``product_of(codes, start, coded, width)`` in a compiled loop is ``codes[start : start + width] @ coded[:width]``.

``codes`` int8, ``coded`` int16, one after the other; ``width`` a multiple of ``LANES``, > 0; int32. Nothing is checked.
"""


def _dot(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """LLVM's instructions of :func:`product_of`."""
    codes_type, _, coded_type, _ = signature.args
    codes, start, coded, width = arguments
    left = builder.gep(context.make_array(codes_type)(context, builder, codes).data, [start])
    right = context.make_array(coded_type)(context, builder, coded).data
    entry, loop, done = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    at, sums = builder.phi(width.type), builder.phi(_SUMS)
    products = builder.mul(*(_loaded(builder, data, at) for data in (left, right)))
    even, odd = (_every_other(builder, products, first) for first in (0, 1))
    further, total = builder.add(at, width.type(LANES)), builder.add(sums, builder.add(even, odd))
    for phi, first, later in ((at, width.type(0), further), (sums, _SUMS(None), total)):
        phi.add_incoming(first, entry)
        phi.add_incoming(later, loop)
    builder.cbranch(builder.icmp_signed("<", further, width), loop, done)
    builder.position_at_end(done)
    return builder.call(_adding_up(builder.module), [total])


def _loaded(builder: Any, data: Any, at: Any) -> Any:
    """The next numbers of an array, each in 32 bits."""
    size = data.type.pointee.width
    lanes = ir.VectorType(ir.IntType(size), LANES).as_pointer()
    loaded = builder.load(builder.bitcast(builder.gep(data, [at]), lanes), align=size // 8)
    return builder.sext(loaded, _PRODUCTS)


def _every_other(builder: Any, products: Any, first: int) -> Any:
    places = ir.VectorType(_INT, _PAIRS)(list(range(first, LANES, 2)))
    return builder.shuffle_vector(products, products, places)


def _adding_up(module: Any) -> Any:
    """LLVM's sum of the numbers of a vector."""
    name = f"llvm.vector.reduce.add.v{_PAIRS}i32"
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(_INT, [_SUMS]), name)
