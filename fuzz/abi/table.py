#!/usr/bin/env python3
"""Writes table.h for fuzz.c: one random call for each exported function.

  table.py abi/symbols.txt include/krpc.h > table.h

Names come from symbols.txt, so that no function is forgotten; arguments from the header's prototypes, thread
words from symbols.txt. Functions with arrays or rules of their own are written by hand in fuzz.c (BY_HAND).
"""

import re
import sys

# Arrays, or arguments that must fit each other: fuzz.c has `call_NAME` for each.
BY_HAND = {
    "krpc_queue_take", "krpc_event_release", "krpc_event_release_many", "krpc_client_start_many",
    "krpc_request_reply_many", "krpc_message_segments", "krpc_message_from_segments", "krpc_message_wrap",
    "krpc_client_start", "krpc_log_set", "krpc_idl_parse_file", "krpc_idl_parse_memory", "krpc_stream_send_many",
    "krpc_stream_try_send_many", "krpc_stream_recv_many",
}  # fmt: skip

# They end something that others may be using; rarely aimed at what threads share.
CLOSERS = {
    "krpc_client_close", "krpc_queue_shutdown", "krpc_runtime_shutdown", "krpc_server_stop", "krpc_context_cancel",
    "krpc_stream_cancel", "krpc_stream_cancel_with_code",
}  # fmt: skip

SIZED = {
    "krpc_facts", "krpc_client_stats", "krpc_queue_stats", "krpc_stopped", "krpc_method_info", "krpc_field_info",
    "krpc_json_options", "krpc_peer_credentials", "krpc_stream_stats", "krpc_stream_limits", "krpc_stream_counters",
    "krpc_stream_event", "krpc_client_stream_stats", "krpc_server_stream_stats", "krpc_attempt",
    "krpc_server_stats",
}  # fmt: skip
SCALARS = {
    "bool": "some_bool", "int8_t": "(int8_t)some_number", "int16_t": "(int16_t)some_number",
    "int32_t": "some_int32", "uint32_t": "some_uint32", "int64_t": "some_int64", "uint64_t": "(uint64_t)some_int64",
    "size_t": "some_size", "double": "(double)some_number", "krpc_str": "some_text", "krpc_bytes": "some_bytes",
    "krpc_transport": "some_int32",
}  # fmt: skip
FUNCTIONS = {
    "krpc_handler_fn": "on_request", "krpc_acl_fn": "on_check", "krpc_destroy_fn": "on_destroy",
    "krpc_stream_handler_fn": "on_stream",
}  # fmt: skip
# Structs that fuzz.c fills in; those of the second kind come with what they give away.
FILLED = {"krpc_call_options", "krpc_runtime_options", "krpc_stream_options"}
GIVEN = {"krpc_completion", "krpc_stream_observer", "krpc_stream_interceptor"}


def prototypes(header: str) -> dict[str, tuple[str, list[str]]]:
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.S)
    text = re.sub(r"static inline .*?\n}", " ", text, flags=re.S)
    found = {}
    for result, name, arguments in re.findall(r"^([\w ]+?[\s*]+)(krpc_\w+)\(([^()]*)\);", text, flags=re.M):
        words = [] if arguments.strip() == "void" else [" ".join(word.split()) for word in arguments.split(",")]
        found[name] = (" ".join(result.split()), words)
    return found


def split(argument: str) -> tuple[str, str]:
    kind, name = re.fullmatch(r"(.*?)(\w+)", argument).groups()
    return kind.strip(), name


def is_taken(function: str, position: int, name: str) -> bool:
    if function == "krpc_server_options_add_service":
        return name == "service"
    return position == 0 and (function.endswith(("_free", "_build")) or function == "krpc_writer_finish")


def argument(function: str, position: int, text: str, word: str, handles: set[str]) -> tuple[str, str, str, str]:
    """Declaration, expression, what to do before the call's outcome is judged, and what after."""
    kind, name = split(text)
    variable = f"a{position}"
    handle = re.fullmatch(r"(?:const )?(krpc_\w+) \*", kind)
    out = re.fullmatch(r"(krpc_\w+) \*\*", kind)
    if kind == "krpc_error **":
        return "krpc_error *error = NULL;", "wants_error ? &error : NULL", "", ""
    if out and out[1] in handles:
        keep = f"keep(g, T_{out[1]}, {variable});"
        return f"{out[1]} *{variable} = NULL; bool w{position} = some_bool(g);", f"w{position} ? &{variable} : NULL", "", keep
    if handle and handle[1] in handles:
        flags = "TAKEN" if is_taken(function, position, name) else "OWN" if "one at a time" in word else "ANY"
        if function in CLOSERS:
            flags = "CLOSED"
        after = f"was_taken(g, T_{handle[1]}, {variable});" if flags == "TAKEN" else ""
        return f"{handle[1]} *{variable} = ({handle[1]} *)pick(g, T_{handle[1]}, {flags});", variable, after, ""
    if handle and handle[1] in SIZED:
        return f"sized {variable}; some_sized(g, &{variable}, sizeof({handle[1]}));", f"({handle[1]} *)sized_or_null(g, &{variable})", "", ""
    if handle and handle[1] in GIVEN:
        made = f"{handle[1]} {variable}; cell *c{position} = some_{handle[1]}(g, &{variable});"
        return made, f"&{variable}", "", f"judge_given(status, c{position});"
    if handle and handle[1] == "krpc_stream_hook":
        # A real one is only lent: on_hook has it. Any other pointer is refused.
        return f"const void *{variable} = some_bool(g) ? NULL : pick(g, T_krpc_message, ANY);", f"(const krpc_stream_hook *){variable}", "", ""
    if handle and handle[1] in FILLED:
        return f"{handle[1]} {variable} = some_{handle[1]}(g);", f"&{variable}", "", ""
    if kind in FUNCTIONS:
        return "", FUNCTIONS[kind] if kind == "krpc_destroy_fn" else f"one_in(g, 16) ? NULL : {FUNCTIONS[kind]}", "", ""
    if kind == "void *" and name == "state":
        return "", "NULL", "", ""
    if kind == "void *" and name == "user_data":
        return f"cell *{variable} = new_cell();", variable, "", ""
    if kind in SCALARS:
        value = SCALARS[kind]
        if name in ("timeout_ms", "grace_ms"):
            value = "some_time"
        if function == "krpc_queue_new":
            value = "some_capacity"
        return f"{kind} {variable} = {value}(g);", variable, "", ""
    pointee = re.fullmatch(r"(const krpc_\w+ \*|\w+) \*", kind) or re.fullmatch(r"(const krpc_\w+ \*)\*", kind)
    if pointee and not handle or handle and handle[1] in ("krpc_str", "krpc_bytes"):
        inner = pointee[1] if pointee else handle[1]
        return f"{inner} {variable}; memset(&{variable}, 0, sizeof {variable});", f"one_in(g, 8) ? NULL : &{variable}", "", ""
    raise SystemExit(f"table.py: {function}: no way to make a {text!r}; teach me or write it by hand")


def thunk(name: str, result: str, arguments: list[str], word: str, handles: set[str]) -> str:
    parts = [argument(name, position, text, word, handles) for position, text in enumerate(arguments)]
    lines = [part[0] for part in parts if part[0]]
    call = f"{name}({', '.join(part[1] for part in parts)})"
    has_error = any("krpc_error *error" in part[0] for part in parts)
    owned = re.fullmatch(r"(krpc_\w+) \*", result)
    if has_error:
        lines.insert(0, "bool wants_error = some_bool(g);")
    if result == "krpc_status":
        lines.append(f"krpc_status status = {call};")
    elif owned and owned[1] in handles:
        lines.append(f"{owned[1]} *made = {call};")
    else:
        lines.append(f"{call};" if result == "void" else f"(void){call};")
    lines += [part[2] for part in parts if part[2]]
    if result == "krpc_status":
        lines.append("judge(status);")
        if has_error:
            lines.append("judge_error(status, wants_error, error);")
    elif owned and owned[1] in handles:
        if has_error:
            lines.append("judge_made(made != NULL, wants_error, error);")
        lines.append(f"keep(g, T_{owned[1]}, made);")
    lines += [part[3] for part in parts if part[3]]
    body = "\n    ".join(lines)
    return f"static void call_{name}(gen *g)\n{{\n    (void)g;\n    {body}\n}}\n"


def main() -> None:
    symbols, header = (open(path, encoding="utf-8").read() for path in sys.argv[1:3])
    words = {}
    for line in symbols.splitlines():
        if line and not line.startswith("#"):
            name, _since, _owner, word = line.split(None, 3)
            words[name] = word
    known = prototypes(header)
    missing = sorted(set(words) - set(known))
    if missing:
        raise SystemExit(f"table.py: no prototype of {', '.join(missing)}")
    frees = sorted(name[: -len("_free")] for name in words if name.endswith("_free"))
    handles = set(frees)
    print("/* Made by table.py from abi/symbols.txt and include/krpc.h; included twice. */")
    print("#ifndef FUZZ_TABLE\nenum {", *(f"    T_{kind}," for kind in frees), "    TYPES\n};", sep="\n")
    print("static void free_handle(int type, void *handle)\n{\n    switch (type) {")
    for kind in frees:
        print(f"    case T_{kind}: {kind}_free(({kind} *)handle); break;")
    print("    }\n}\n#else")
    called = sorted(words)
    for name in called:
        if name not in BY_HAND:
            print(thunk(name, *known[name], words[name], handles))
    print("static const struct { const char *name; void (*call)(gen *); } TABLE[] = {")
    for name in called:
        print(f'    {{"{name}", call_{name}}},')
    print("};\n#endif")


if __name__ == "__main__":
    main()
