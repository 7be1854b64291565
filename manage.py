#!/usr/bin/env python
"""Django's command line: `python manage.py help` lists every command."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chronicle.settings")
    from django.core.management import execute_from_command_line

    from chronicle.processes import MISSING, what_is_away

    try:
        execute_from_command_line(sys.argv)
    except Exception as error:
        sentence = what_is_away(error)
        if sentence is None:
            raise
        sys.stderr.write(f"{sentence}\n")
        sys.exit(MISSING)


if __name__ == "__main__":
    main()
