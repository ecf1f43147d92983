"""What holds for every test."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts pytest in the background has it ignore Ctrl-C, and with it every process that a test starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
