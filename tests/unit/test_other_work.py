"""What other processes have of the machine, against a process that is made busy."""

import subprocess
import sys
import time

from ssl_methods.devices.other_work import cores, seconds_of_others

SPIN = "import time\nwhile time.process_time() < 0.6: pass"


def test_the_work_of_another_process_is_counted_and_ones_own_is_not():
    before = seconds_of_others()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    assert seconds_of_others() - before > 0.4
    own, wall, others = time.process_time(), time.perf_counter(), seconds_of_others()
    while time.process_time() - own < 0.6:
        pass
    room = (time.perf_counter() - wall) * cores() - 0.6  # what was left for others
    assert seconds_of_others() - others < room + 0.2
