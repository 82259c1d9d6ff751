"""python -m orchestrator"""

import sys

# `-m` looks first where the user stands, whose folder called `workloads` would be taken for ours
sys.path.append(sys.path.pop(0))

from orchestrator.cli import main

if __name__ == "__main__":
    main()
