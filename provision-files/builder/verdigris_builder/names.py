"""The grammars of names: the builder's copy. Generated from crates/model/src/name.rs by `cargo xtask names`; never edit it.

Every expression is for `fullmatch`. The farm checks the same names by the same rules before a builder sees them.
"""

import re

OWNER = re.compile(r"(?!.*\.\.)@?[A-Za-z0-9_][A-Za-z0-9._\-]{0,63}")
DIRECTORY = re.compile(r"(?=.{1,120}\Z)(?!.*\.\.)(?![0-9]+(?::|\Z))[A-Za-z0-9_][A-Za-z0-9._\-]{0,99}(?::[A-Za-z0-9_][A-Za-z0-9._\-]{0,99})*")
CHROOT = re.compile(r"(?=.{1,100}\Z)(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._+\-]*-[A-Za-z0-9][A-Za-z0-9._+]*-[A-Za-z0-9][A-Za-z0-9_]{0,31}")
FILE_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._+~\^\-]{0,242}")
REPOSITORY_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9_.:\-]{0,127}")
INSTALLABLE = re.compile(r"(?!.*\.\.)[A-Za-z0-9@/_][A-Za-z0-9@/_.+():~\^*\-]{0,255}")
