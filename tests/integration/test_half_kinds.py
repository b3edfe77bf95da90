# SPDX-License-Identifier: Apache-2.0
"""A client that knows half of the event kinds (the development option hidden-types) stays in sync with one that knows all, shows the others as unsupported, and reads
them after its upgrade, from its own database."""

from libchat import Role, State, Type
from people import bodies, client, conversation_of, done, eventually, same_everywhere, timeline, until_caught_up, until_live, until_message, until_state, until_type

HIDDEN = [Type.MEMBERS_ADD, Type.MEMBER_REMOVE, Type.ROLE, Type.TITLE, Type.SETTINGS, Type.TO_CHANNEL]
OPTION = ",".join(str(int(kind)) for kind in HIDDEN)


def everything_happens(owner):
    """A group in which every kind occurs, with messages between; (group, seq of its last event)."""
    group = done(owner.create("Old name", ["half"])).conversation_id
    done(owner.send(group, "one"))
    done(owner.set_title(group, "New name"))
    done(owner.add_members(group, ["third", "fourth"]))
    done(owner.send(group, "two"))
    done(owner.set_role(group, "third", Role.ADMIN))
    done(owner.remove_member(group, "fourth"))
    done(owner.set_history_from_start(group, True))
    done(owner.make_channel(group))
    done(owner.set_owner(group, "third"))
    done(owner.send(group, "three"))
    until_caught_up(owner, group, 11)
    return group


def check_unsupported(half, group):
    unknown = [message for message in timeline(half, group) if message.type in HIDDEN]
    assert [message.type for message in unknown] == [
        Type.TITLE, Type.MEMBERS_ADD, Type.ROLE, Type.MEMBER_REMOVE, Type.SETTINGS, Type.TO_CHANNEL,
    ]
    for message in unknown:
        assert message.payload or message.type == Type.TO_CHANNEL  # raw …
        assert not message.title and not message.users and message.role == 0  # … and no guess at what it says


def check_understood(whole, group):
    by_type = {message.type: message for message in timeline(whole, group)}
    assert by_type[Type.TITLE].title == "New name"
    assert sorted(by_type[Type.MEMBERS_ADD].users) == ["fourth", "third"]
    assert by_type[Type.MEMBER_REMOVE].users == ["fourth"]
    assert (by_type[Type.ROLE].users, by_type[Type.ROLE].role) == (["third"], Role.ADMIN)
    assert by_type[Type.SETTINGS].history_from_start


def test_in_sync_live_and_read_after_the_upgrade(server, tmp_path):
    database = tmp_path / "half.db"
    with client(server, "owner") as owner:
        with client(server, "half", database, hidden_types=OPTION) as half:
            until_live(owner), until_live(half)
            group = everything_happens(owner)
            until_caught_up(half, group, 11)
            same_everywhere(group, owner, half)
            check_unsupported(half, group)
            # It goes on to take part.
            done(half.send(group, "me too"))
            until_message(owner, "me too")
        until_caught_up(owner, group, 12)
        with client(server, "half", database) as upgraded:
            done(upgraded.set_online(False))  # all of it is here already
            until_state(upgraded, State.OFFLINE)
            check_understood(upgraded, group)
            done(upgraded.set_online(True))
            until_live(upgraded)  # before that the cache is asked, which knew no members
            until_caught_up(upgraded, group, 12)
            same_everywhere(group, owner, upgraded)
            eventually(lambda: conversation_of(upgraded, group).title, lambda title: title == "New name")
            members = {member.user: member.role for member in done(upgraded.members(group)).members}
            assert members == {"owner": Role.ADMIN, "third": Role.OWNER, "half": Role.MEMBER}


def test_in_sync_by_catching_up(server, tmp_path):
    database = tmp_path / "half.db"
    with client(server, "owner") as owner:
        until_live(owner)
        group = everything_happens(owner)
        with client(server, "half", database, hidden_types=OPTION) as half:
            until_caught_up(half, group, 11)
            same_everywhere(group, owner, half)
            check_unsupported(half, group)
            assert done(half.verify(group)).head == 0
        done(owner.set_title(group, "Newest name"))
        with client(server, "half", database) as upgraded:
            until_type(upgraded, Type.TITLE)
            until_caught_up(upgraded, group, 12)
            assert conversation_of(upgraded, group).title == "Newest name"
            same_everywhere(group, owner, upgraded)


def test_messages_themselves_may_be_unknown(server, tmp_path):
    database = tmp_path / "half.db"
    with client(server, "ann") as ann:
        until_live(ann)
        with client(server, "half", database, hidden_types=int(Type.MESSAGE)) as half:
            until_live(half)
            conversation = done(ann.send_direct("half", "secret of a later version")).conversation_id
            until_caught_up(half, conversation, 1)
            assert bodies(timeline(half, conversation)) == []
        with client(server, "half", database) as upgraded:
            assert bodies(timeline(upgraded, conversation)) == ["secret of a later version"]
            assert conversation_of(upgraded, conversation).unread == 1
            done(ann.send(conversation, "another"))
            until_message(upgraded, "another")
            found = done(upgraded.search("secret", conversation)).messages
            assert [message.seq for message in found] == [1]
