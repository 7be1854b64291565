"""`python -m chronicle.stack.secret`: gives an installation its own SECRET_KEY, once, and leaves it for the settings.

For a deployment without the launcher, such as docker compose, whose containers share one data folder. A
SECRET_KEY in the environment comes before the one in the folder.
"""

from __future__ import annotations

import os

from chronicle.stack.data_folder import DataFolder


def main() -> None:
    folder = DataFolder(os.environ.get("CHRONICLE_DATA") or ".chronicle")
    folder.write_environment({"SECRET_KEY": folder.secret_key()})


if __name__ == "__main__":
    main()
