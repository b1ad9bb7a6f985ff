# Healthy while beat writes its schedule: it does so at most every --max-interval
# plus three minutes, and stops when it hangs or dies.
import glob
import os
import sys
import time

schedule, oldest = sys.argv[1], float(sys.argv[2])
written = max((os.path.getmtime(p) for p in glob.glob(schedule + "*")), default=0)
sys.exit(0 if time.time() - written < oldest else 1)
