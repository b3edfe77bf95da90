# SPDX-License-Identifier: Apache-2.0
"""The binding's own promises: nothing of client.h is missing, errors, threads, the end of a client and of the interpreter, the modes of waiting."""

import re
import select
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from libchat import ChatError, Client, Error, EventType, LogLevel, Network, State, handle, native, records, version
from people import DEADLINE_S, client, done, eventually, until, until_live, until_message, until_state


def test_every_function_of_the_header_is_used():
    header = (native.SOURCE_INCLUDE / "chat" / "client.h").read_text()
    functions = set(re.findall(r"^CHAT_API .*?(chat_client_\w+)\(", header, re.MULTILINE))
    assert len(functions) >= 40
    package = "".join(path.read_text() for path in native.PACKAGE.glob("*.py"))
    assert functions - set(re.findall(r"client_lib\.(chat_client_\w+)", package)) == set()


def test_every_field_of_an_event_is_copied():
    for record, struct in ("Event", "chat_event"), ("Message", "chat_message"), ("Conversation", "chat_conversation"):
        names = {name for name, _ in native.ffi.typeof(struct).fields if not name.endswith("_count") or name == "member_count"}
        fields = set(getattr(records, record).__dataclass_fields__)
        assert names - fields <= {"member_count"}, record


def test_names_and_numbers_are_those_of_the_library():
    assert version() == (0, 1, 0)
    assert Error.NOT_FOUND == -19 and EventType.RESYNC == 2 and State.SHUT_OUT == 6
    error = ChatError(Error.NOT_FOUND)
    assert (error.code, error.name) == (-19, "CHAT_E_NOT_FOUND") and str(error).startswith("CHAT_E_NOT_FOUND: ")


def test_options_are_checked():
    with pytest.raises(ChatError, match="no-such-option") as unknown:
        Client(no_such_option=1)
    assert unknown.value.code == Error.UNSUPPORTED
    with pytest.raises(ChatError) as wrong:
        Client(prefetch="many")
    assert wrong.value.code == Error.INVALID


def test_a_refused_request_has_no_reply():
    with Client() as offline:
        with pytest.raises(ChatError) as large:
            offline.send(bytes(16), b"x" * 65537)
        assert large.value.code in (Error.INVALID, Error.TOO_LARGE)
        with pytest.raises(ValueError):
            offline.send(b"short", "x")
        with pytest.raises(ChatError) as nobody:
            done(offline.whoami())
        assert nobody.value.code == Error.OFFLINE and nobody.value.event.type == EventType.REPLY


def test_replies_and_events_do_not_take_each_others_place(server):
    with client(server, "order") as person:
        until_live(person)
        replies = [person.send_direct("order", f"n{n}") for n in range(20)]
        until_message(person, "n19")  # pulls the replies too
        assert [reply.done() for reply in replies] == [True] * 20
        again = person.send_direct("order", "last")
        assert done(again).client_id  # pulls events too
        until_message(person, "last")


def test_a_client_that_nobody_asks_for_events_keeps_a_bounded_number(server, monkeypatch):
    monkeypatch.setattr(handle, "EVENTS_MAX", 5)
    with client(server, "busy") as person:
        until_live(person)
        for n in range(10):
            conversation = done(person.send_direct("busy", f"{n}")).conversation_id
        eventually(lambda: done(person.conversation(conversation)).conversation.head, lambda head: head == 10)
        until(person, lambda event: event.type == EventType.RESYNC)


def test_close_from_another_thread_ends_a_wait(server):
    with client(server, "waiter") as person:
        until_live(person)
        done(person.set_online(False))
        while person.wait(0.5):
            pass
        ended = []
        waiting = threading.Thread(target=lambda: ended.append(person.wait()))
        waiting.start()
        time.sleep(0.3)
        person.close()
        waiting.join(DEADLINE_S)
        assert ended == [None]
        with pytest.raises(ChatError) as closed:
            person.whoami()
        assert closed.value.code == Error.CLOSED
        person.close()


def test_interrupt_ends_one_wait():
    with Client() as person:
        while person.wait(0.5):
            pass
        threading.Timer(0.2, person.interrupt).start()
        assert person.wait(DEADLINE_S) is None
        began = time.monotonic()
        assert person.wait(0.5) is None and time.monotonic() - began >= 0.4


def test_requests_without_a_reply_end_with_the_client(server):
    person = client(server, "impatient")
    person.start()
    reply = person.whoami()
    person.close()
    with pytest.raises(ChatError) as closed:
        reply.result(DEADLINE_S)
    assert closed.value.code == Error.CLOSED


def test_many_threads_share_a_client(server):
    with client(server, "crowd") as person:
        until_live(person)
        ids = []

        def talk(number):
            for n in range(10):
                ids.append(done(person.send_direct("crowd", f"{number}:{n}")).client_id)

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert len(set(ids)) == 40


def test_several_clients_in_one_select_loop(server):
    people = [client(server, f"select{n}") for n in range(5)]
    for person in people:
        person.start()
    waiting = set(people)
    deadline = time.monotonic() + DEADLINE_S
    while waiting and time.monotonic() < deadline:
        for person in select.select(list(waiting), [], [], 1)[0]:
            event = person.wait(0)
            assert event, "readable means that there is an event"
            if event.state == State.LIVE:
                waiting.remove(person)
    assert not waiting
    for person in people:
        person.close()


def test_wakeup_wakes(server):
    woken = threading.Event()
    with Client(server.url, "dev:sleeper") as person:
        person.set_wakeup(woken.set)
        until_live(person)
        woken.clear()
        while person.wait(0.3):
            pass
        person.send_direct("sleeper", "wake up")
        assert woken.wait(DEADLINE_S)
        person.set_wakeup(None)


def test_caller_driven_mode(server):
    with client(server, "driver", caller_driven=True) as person, client(server, "passenger") as passenger:
        assert person.io_fileno() >= 0
        person.process()
        assert person.next_deadline() is not None
        until_live(person)
        done(person.send_direct("passenger", "without a thread"))
        conversation = until_message(person, "without a thread").conversation_id
        until_message(passenger, "without a thread")
        done(passenger.send(conversation, "I see"))
        until_message(person, "I see")


def test_only_a_caller_driven_client_is_driven():
    with Client() as person, pytest.raises(ChatError) as mode:
        person.process()
    assert mode.value.code == Error.INVALID


def test_suspend_and_resume(server, tmp_path):
    with client(server, "mobile", tmp_path / "m.db") as person:
        until_live(person)
        person.suspend()
        with pytest.raises(ChatError) as suspended:
            person.whoami()
        assert suspended.value.code == Error.SUSPENDED
        person.resume()
        until_live(person)
        person.network_hint(Network.CHANGED)
        until_state(person, State.CONNECTING)
        until_live(person)


def test_the_log_comes_line_by_line(server):
    lines = []
    with client(server, "logger", log=lambda level, line: lines.append((level, line))) as person:
        until_live(person)
    assert any(level == LogLevel.INFO and '"live"' in line for level, line in lines)
    assert not any("dev:logger" in line for _, line in lines)


def run(program, *arguments):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(program), *arguments], capture_output=True, text=True, timeout=DEADLINE_S)


def test_the_interpreter_may_exit_with_open_clients(server):
    program = """
        import sys, threading
        from libchat import Client, State
        client = Client(sys.argv[1], "dev:exit", log=lambda level, line: None)
        client.set_wakeup(lambda: None)
        client.start()
        while client.wait(30).state != State.LIVE:
            pass
        client.send_direct("exit", "bye").result(30)
        threading.Thread(target=client.wait, daemon=True).start()
        print("end")
    """
    ended = run(program, server.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


def test_ctrl_c_ends_a_wait(server):
    program = """
        import os, signal, sys, threading, time
        from libchat import Client
        with Client(sys.argv[1], "dev:ctrl") as client:
            threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            try:
                while client.wait():
                    pass
            except KeyboardInterrupt:
                print("interrupted")
    """
    ended = run(program, server.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LIBCHAT_PATH", str(tmp_path))
    ended = run("import libchat")
    assert ended.returncode == 1 and str(tmp_path / "libchat-client.so") in ended.stderr


def test_declarations_made_before_need_no_compiler(tmp_path, monkeypatch):
    made = run("import runpy; runpy.run_module('libchat.native', run_name='__main__')")
    assert made.returncode == 0, made.stderr
    copy = tmp_path / "libchat"
    copy.mkdir()
    for path in native.PACKAGE.glob("*.py"):
        (copy / path.name).write_text(path.read_text())
    (copy / "declarations.h").write_text(made.stdout)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CC", "no-compiler-here")
    ended = run("import libchat; print(libchat.__file__); libchat.Client().close()")
    assert (ended.returncode, ended.stdout.strip()) == (0, str(copy / "__init__.py")), ended.stderr
