import signal
import threading

from keras_transformer import StopSignal


def test_in_another_thread_there_are_no_signals_to_note():
    former, seen = signal.getsignal(signal.SIGTERM), []

    def enter():
        with StopSignal():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [former]
