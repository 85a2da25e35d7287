"""Runs all tests of this folder, the analyzer's and the notebook's, and names each that skipped itself: `python3 tests/run.py`.

With the package coverage, every line and branch of the analyzer has to have been run, as Security Onion asks of analyzers.
"""

import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def main():
    """Runs; the exit code is 0 when nothing failed."""
    os.chdir(HERE)
    # What is tested is in a folder that may be read-only, and stays as it is.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path[:0] = [str(HERE), str(HERE / "analyzer")]
    loader, runner = unittest.TestLoader(), unittest.TextTestRunner()
    counter = covering()
    results = [runner.run(loader.loadTestsFromName("pdns.pdns_test"))]
    is_covered = True
    if counter is None:
        print("skipping coverage of the analyzer: no package coverage", file=sys.stderr)
    else:
        counter.stop()
        is_covered = counter.report(show_missing=True, file=sys.stderr) == 100
    results.append(runner.run(loader.discover(str(HERE / "tests"), top_level_dir=str(HERE))))
    results.append(runner.run(unittest.TestLoader().discover(str(HERE / "notebooks"))))
    for test, reason in (skip for result in results for skip in result.skipped):
        print(f"skipping {test.id()}: {reason}", file=sys.stderr)
    return 0 if is_covered and all(result.wasSuccessful() for result in results) else 1


def covering():
    """Counts the analyzer's lines and branches, when the package is there."""
    try:
        import coverage
    except ImportError:
        return None
    counter = coverage.Coverage(data_file=None, branch=True, include=[str(HERE / "analyzer/pdns/pdns.py")])
    counter.start()
    return counter


if __name__ == "__main__":
    sys.exit(main())
