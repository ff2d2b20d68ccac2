"""Values of AllTypes, the same as in ../kitex/values.go."""

import math
import sys

RED, GREEN, NEGATIVE, LARGE = 1, 2, -5, 2**31 - 1
MAX_DOUBLE = sys.float_info.max


def pattern(size: int) -> bytes:
    """Bytes in which a shift, a cut or a repeat shows."""
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def full(t):
    """Every field is set, except the two that must stay unset."""
    return t.AllTypes(
        b=True, i8v=-7, i16v=1234, i32v=-123456, i64v=2**40 + 5, dbl=3.141592653589793, str="héllo, 世界 🎉",
        bin=b"\0\xff\x80\x01", color=NEGATIVE, pair=t.Pair(key="k", value=-1),
        choice=t.Choice(pair=t.Pair(key="in a union", value=9)), strings=["", "a", "b"], ids={3, -1, 2},
        counts={"": 0, "one": 1, "min": -(2**63)}, matrix=[[], [1], [2, 3]],
        pairs_by_id={-1: [], 1: [t.Pair(key="x", value=1), t.Pair(key="y", value=2)]},
        nested=[{}, {"s": {"b", "a"}, "empty": set()}], color_names={RED: "red", NEGATIVE: "negative"},
        flags=[True, False, True], doubles=[0.0, -1.5, 1e300], blobs=[b"", b"\xff", b"blob"],
        table={"row": {"a": 1, "b": -2}, "none": {}}, colors=[LARGE, RED],
        choices=[t.Choice(text="t"), t.Choice(number=-3), t.Choice(numbers=[1, 2])],
        req_str="required", req_i32=41, req_list=["r"],
        opt_bool=False, opt_i8=0, opt_i16=-2, opt_i32=0, opt_i64=4, opt_dbl=-0.5, opt_str="", opt_bin=b"",
        opt_color=GREEN, opt_pair=t.Pair(key="", value=0), opt_list=[], opt_map={"a": ""}, opt_set={"one"},
        def_i32=43, def_str="not default", opt_def_i32=8, def_list=[], def_color=RED, def_bool=False,
        tree=t.Node(value=1, children=[
            t.Node(value=2, children=[]), t.Node(value=3, following=t.Node(value=4))
        ]),
        chain=t.Node(value=5, following=t.Node(value=6)),
    )  # fmt: skip


def least(t):
    """Only what has to be there: zero values, empty containers, no optional field, defaults as they are."""
    return t.AllTypes(
        b=False, i8v=0, i16v=0, i32v=0, i64v=0, dbl=0.0, str="", bin=b"", color=RED, pair=t.Pair(key="", value=0),
        choice=t.Choice(number=0), strings=[], ids=set(), counts={}, matrix=[], pairs_by_id={}, nested=[],
        color_names={}, flags=[], doubles=[], blobs=[], table={}, colors=[], choices=[],
        req_str="", req_i32=0, req_list=[], tree=t.Node(value=0), chain=t.Node(value=0),
    )  # fmt: skip


def extreme(t):
    """The ends of the ranges, special doubles, long containers and deep nesting."""
    v = least(t)
    v.i8v, v.i16v, v.i32v, v.i64v = -(2**7), -(2**15), -(2**31), -(2**63)
    v.opt_i8, v.opt_i16, v.opt_i32, v.opt_i64 = 2**7 - 1, 2**15 - 1, 2**31 - 1, 2**63 - 1
    v.dbl, v.opt_dbl = -0.0, MAX_DOUBLE
    v.doubles = [math.inf, -math.inf, 5e-324, -MAX_DOUBLE]
    v.color, v.str, v.bin = LARGE, "\0\x7f\u0080\uffff\U0010ffff", pattern(300)
    v.ids = {i - 500 for i in range(1000)}
    v.strings = [str(i) for i in range(1000)]
    v.counts = {f"key {i}": i for i in range(1000)}
    node = v.chain
    for i in range(40):
        node.following = t.Node(value=i)
        node = node.following
    return v


def unknown_enums(t):
    v = least(t)
    v.color, v.colors = 77, [-1, RED, 1000]
    return v


def differs(got, want) -> bool:
    """Whatever the library: a set may come as a list, structs are equal field by field, doubles bit by bit."""
    if isinstance(want, float):
        return not isinstance(got, float) or got.hex() != want.hex()
    if isinstance(want, (set, frozenset)):
        return len(got) != len(want) or set(got) != want
    if isinstance(want, dict):
        return got.keys() != want.keys() or any(differs(got[key], want[key]) for key in want)
    if isinstance(want, list):
        return len(got) != len(want) or any(map(differs, got, want))
    if hasattr(want, "__dict__"):
        return type(got) is not type(want) or any(
            differs(vars(got).get(name), vars(want).get(name)) for name in vars(got).keys() | vars(want).keys()
        )
    return type(got) is not type(want) or got != want
