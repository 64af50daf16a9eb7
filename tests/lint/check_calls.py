#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls that our code does without, and the line that every source file starts with.

Comments and strings are blanked first, so that prose may mention what code may not call.
"""

import pathlib
import re
import sys

# name: (why not, folders and files that may)
FORBIDDEN = {
    "exit": ("only main() ends the process", ("base",)),
    "_exit": ("only a forked child may, before its exec", ("base", "crosvm_launcher", "service", "vmm/hv/kvm", "vmm/helper", "dbus/client")),
    "abort": ("errors are returned", ("base",)),
    "system": ("no shell between us and a program", ()),
    "popen": ("no shell between us and a program", ()),
    "dup": ("loses CLOEXEC; fcntl(F_DUPFD_CLOEXEC)", ("base",)),
    "strtol": ("base/str.h parses and checks", ("base",)),
    "strtoul": ("base/str.h parses and checks", ("base",)),
    "strtoll": ("base/str.h parses and checks", ("base",)),
    "strtoull": ("base/str.h parses and checks", ("base",)),
    "atoi": ("cannot report an error", ()),
    "atol": ("cannot report an error", ()),
    "sprintf": ("unbounded", ()),
    "vsprintf": ("unbounded", ()),
    "strcpy": ("unbounded", ()),
    "strcat": ("unbounded", ()),
    "gets": ("unbounded", ()),
    "alloca": ("unbounded", ()),
    "strtok": ("hidden state", ()),
    "usleep": ("wait for an event instead", ()),
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(FORBIDDEN) + r")\s*\(")
BLANK = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def blanked(text):
    return BLANK.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def may(path, users):
    return path.endswith("main.c") or path.startswith("tests/") or any(
        path == user or path.startswith(user + "/") for user in users)


def breaches(path, text):
    if "SPDX-License-Identifier: Apache-2.0" not in text.split("\n", 1)[0]:
        yield f"{path}:1: the first line is the SPDX licence line"
    if path.endswith(".h") and "#pragma once" not in text:
        yield f"{path}:1: #pragma once is missing"
    for number, line in enumerate(blanked(text).split("\n"), 1):
        for match in CALL.finditer(line):
            why, users = FORBIDDEN[match.group(1)]
            if not may(path, users):
                yield f"{path}:{number}: {match.group(1)}(): {why}"


def self_test():
    head = "/* SPDX-License-Identifier: Apache-2.0 */\n"
    good = [("vmm/a.c", head + "x.exit(1); /* exit(1) */ s = \"sprintf(\"; pre_exit(2); ops->abort();"),
            ("vmm/main.c", head + "exit(1);")]
    bad = [("vmm/a.c", head + "exit(1);"), ("vmm/a.c", head + "a = strtol (b);"), ("vmm/a.c", "int a;\n"),
           ("vmm/a.h", head)]
    wrong = [case for case in good if list(breaches(*case))] + [case for case in bad if not list(breaches(*case))]
    for case in wrong:
        print("check_calls self-test: misjudged", *case)
    return len(wrong)


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    found = 0
    for name in arguments:
        for sentence in breaches(name, pathlib.Path(name).read_text(encoding="utf-8")):
            print(sentence)
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
