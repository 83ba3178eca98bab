"""The installed packages beside the published advisories, by pip-audit: what was compared, and what was not.

Known faults end with code 1. Where no advisories can be reached nothing is compared, which is said, and passes: it says
nothing of the change that is tested. Every step has a limit, so that a network that is not there costs a minute at most.

    python scripts/audit.py
"""

import json
import subprocess
import sys

INSTALL, ASK = 60, 90  # seconds
SERVICES = ("pypi", "osv")


def main() -> int:
    """Compare, and say what came of it."""
    install = ("-m", "pip", "install", "--quiet", "--timeout", "5", "--retries", "0", "pip-audit>=2.7")
    if run(*install, limit=INSTALL) is None:
        print("not compared: pip-audit cannot be installed")
        return 0
    for service in SERVICES:
        said = run(
            *("-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--timeout", "5"),
            *("--format", "json", "--vulnerability-service", service),
            limit=ASK,
        )
        packages = parsed(said)
        compared = [package for package in packages if "skip_reason" not in package]
        if compared:
            return told(packages, compared, service)
    print("not compared: no advisories can be reached")
    return 0


def run(*words: str, limit: float) -> str | None:
    """Standard output of Python with these words, or None if it failed without any, or took too long."""
    try:
        found = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return None
    return found.stdout if found.returncode == 0 or found.stdout else None


def parsed(said: str | None) -> list[dict]:
    """pip-audit's packages; none if it could not ask."""
    try:
        return json.loads(said or "")["dependencies"]
    except (ValueError, KeyError, TypeError):
        return []


def told(packages: list[dict], compared: list[dict], service: str) -> int:
    """Print it; 1 if something is known to be at fault."""
    faults = [(package, fault) for package in compared for fault in package.get("vulns", ())]
    for package, fault in faults:
        better = ", ".join(fault.get("fix_versions", ())) or "no version yet"
        print(f"{package['name']} {package['version']}: {fault['id']}, mended in {better}")
    print(f"{len(compared)} of {len(packages)} packages compared with the advisories of {service}: {len(faults)} known")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
