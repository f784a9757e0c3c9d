"""Print, as pip constraints, the oldest versions of actorcred's dependencies in setup.cfg."""

import configparser
import re

config = configparser.ConfigParser()
config.read("setup.cfg")
lines = [
    config["options"]["install_requires"],
    *config["options.extras_require"].values(),
]
found = dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", "\n".join(lines), re.MULTILINE))
for name, version in sorted(found.items()):
    print(f"{name}=={version}")
