# SPDX-License-Identifier: Apache-2.0
"""AsyncClient: the descriptor in asyncio's loop, and no thread that waits."""

import asyncio
import threading

import pytest
from libchat import AsyncClient, ChatError, Error, EventType, State
from people import DEADLINE_S


def client(server, user, **options):
    return AsyncClient(server.url, f"dev:{user}", **options)


async def until(person, wanted):
    async with asyncio.timeout(DEADLINE_S):
        async for event in person:
            if wanted(event):
                return event


async def until_live(person):
    await until(person, lambda event: event.state == State.LIVE)


async def until_message(person, body):
    return (await until(person, lambda event: event.type == EventType.MESSAGE and event.message.text == body)).message


def test_chats(server):
    async def chat():
        async with client(server, "ann") as ann, client(server, "ben") as ben:
            await until_live(ann)
            sent = await ann.send_direct("ben", "hello")
            got = await until_message(ben, "hello")
            assert got.client_id == sent.client_id and got.sender == "ann"
            await ben.send(got.conversation_id, "hello yourself")
            await until_message(ann, "hello yourself")
            page = await ann.history(sent.conversation_id)
            assert [message.text for message in page.messages] == ["hello", "hello yourself"]

    asyncio.run(chat())


def test_many_clients_share_one_thread_of_python(server):
    async def one(number):
        async with client(server, f"many{number}") as person:
            await until_live(person)
            await person.send_direct(f"many{number}", f"{number}")
            await until_message(person, f"{number}")

    before = threading.enumerate()

    async def all_of_them():
        await asyncio.gather(*(one(number) for number in range(20)))
        # Nobody waits in a thread: what is new are the loop's helpers that opened and closed.
        assert [thread.name for thread in threading.enumerate() if thread not in before and not thread.name.startswith("asyncio_")] == []

    asyncio.run(all_of_them())


def test_errors_are_raised_where_awaited(server):
    async def ask():
        async with client(server, "asker") as person:
            await until_live(person)
            with pytest.raises(ChatError) as unknown:
                await person.send(bytes(16), "nowhere")
            assert unknown.value.code == Error.NOT_FOUND

    asyncio.run(ask())


def test_close_ends_who_waits(server):
    async def wait_and_close():
        person = client(server, "closer")
        async with person:
            await until_live(person)
            await person.set_online(False)
            while await person.wait(0.5):
                pass
            waiting = asyncio.create_task(person.wait())
            reply = person.whoami()
            await asyncio.sleep(0)
            await person.aclose()
            assert await asyncio.wait_for(waiting, DEADLINE_S) is None
            with pytest.raises(ChatError) as closed:
                await reply
            assert closed.value.code == Error.CLOSED

    asyncio.run(wait_and_close())


def test_a_wait_may_be_canceled_and_the_loop_lives_on(server):
    async def cancel():
        async with client(server, "canceler") as person:
            await until_live(person)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(person.wait(), 0.5) and await asyncio.wait_for(asyncio.Event().wait(), 0.1)
            reply = person.whoami()
            reply.cancel()
            assert (await person.whoami()).user == "canceler"

    asyncio.run(cancel())


def test_a_start_that_fails_is_raised(server, tmp_path):
    async def second_opener():
        async with client(server, "first", database=tmp_path / "one.db"):
            with pytest.raises(ChatError) as busy:
                async with client(server, "first", database=tmp_path / "one.db"):
                    pass
            assert busy.value.code == Error.BUSY

    asyncio.run(second_opener())
