"""Print, as pip constraints, the oldest versions of actorcred's dependencies in setup.cfg."""

import configparser
import re

TOOLS = {"test", "lint", "docs", "bench", "fuzz"}

config = configparser.ConfigParser()
config.read("setup.cfg")
extras = config["options.extras_require"]
of_tools = {
    re.split(r"[\[>;]", line)[0] for tool in TOOLS for line in extras[tool].split("\n") if line
}
lines = [
    config["options"]["install_requires"],
    *(text for name, text in extras.items() if name not in TOOLS),
]
found = dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", "\n".join(lines), re.MULTILINE))
for name in sorted(set(found) - of_tools):
    print(f"{name}=={found[name]}")
