"""Another agent, or the same in another language, is to go on with the call."""

from __future__ import annotations

from gateway.call import events
from gateway.call.control import AgentWanted, LanguageWanted
from gateway.conversation.talk import AgentChange, Talk


async def change(talk: Talk, wanted: AgentWanted | LanguageWanted) -> None:
    """End a talk between two turns for what follows; nothing happens where that is so already."""
    agent, language = talk.agent.name, talk.agent.config.language
    if talk.ending is not None:
        return
    event: events.AgentChanges | events.LanguageChanges
    if isinstance(wanted, AgentWanted):
        if wanted.agent == agent:
            return
        talk.ending = AgentChange(wanted.agent, wanted.by)
        event = events.AgentChanges(agent=wanted.agent, by=wanted.by)
    else:
        if wanted.language == language:
            return
        talk.ending = AgentChange(agent, wanted.by, wanted.language)
        event = events.LanguageChanges(wanted.language, language, wanted.by)
    talk.call.note(event)
    if wanted.cut:
        await talk.floor.interrupt("operator")
