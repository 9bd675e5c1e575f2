"""What each process loads: start-up time and memory of a program are those of its modules."""

import subprocess
import sys


def test_the_supervisor_loads_no_program_of_a_worker():
    """It starts them and passes clients to them; conversations are theirs alone."""
    program = (
        "import sys, gateway.process.supervisor\n"
        "alien = ('gateway.process.worker_main', 'gateway.conversation.conversation',"
        " 'gateway.realtime.session', 'websockets')\n"
        "print([m for m in sys.modules if m in alien])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
