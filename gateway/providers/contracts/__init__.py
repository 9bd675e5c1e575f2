"""What an engine must be: the protocols that providers satisfy and the values they exchange.

Nothing here does anything. A provider is one file in `providers/<kind>/` with a `Settings`
model and `create(settings)`; being cancelled is its only stop.
"""

from gateway.providers.contracts.expectation import Expect, ExpectKind
from gateway.providers.contracts.language_model import (
    Accounting,
    AskedAgain,
    AssistantMessage,
    Billed,
    LanguageModel,
    Memo,
    Message,
    Paid,
    ReplyEvent,
    ReplyRequest,
    Retracted,
    TextDelta,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Typed,
    Usage,
    UserMessage,
    Wasted,
)
from gateway.providers.contracts.module import Helper, HelperProcess, ProviderInfo, ProviderSettings
from gateway.providers.contracts.speech_to_text import (
    ListeningStream,
    SpeechToText,
    SttSession,
    SttStream,
    Trait,
    TraitKind,
    Transcript,
    TurnMark,
)
from gateway.providers.contracts.text_to_speech import Delivery, Spoken, TextToSpeech, TtsSession
from gateway.providers.contracts.voice_detection import VoiceDetection

__all__ = [
    "Accounting",
    "AskedAgain",
    "AssistantMessage",
    "Billed",
    "Delivery",
    "Expect",
    "ExpectKind",
    "Helper",
    "HelperProcess",
    "LanguageModel",
    "ListeningStream",
    "Memo",
    "Message",
    "Paid",
    "ProviderInfo",
    "ProviderSettings",
    "ReplyEvent",
    "ReplyRequest",
    "Retracted",
    "SpeechToText",
    "Spoken",
    "SttSession",
    "SttStream",
    "TextDelta",
    "TextToSpeech",
    "Thinking",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
    "Trait",
    "TraitKind",
    "Transcript",
    "TtsSession",
    "TurnMark",
    "Typed",
    "Usage",
    "UserMessage",
    "VoiceDetection",
    "Wasted",
]
