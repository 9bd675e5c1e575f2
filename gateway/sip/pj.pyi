from collections.abc import Iterator
from typing import Any

LIBRARY_PATH: str

PJMEDIA_TYPE_AUDIO: int
PJMEDIA_FRAME_TYPE_AUDIO: int
PJMEDIA_DIR_ENCODING: int
PJMEDIA_DIR_DECODING: int
PJMEDIA_DIR_ENCODING_DECODING: int
PJSUA_CALL_MEDIA_ACTIVE: int
PJSUA_CALL_MEDIA_REMOTE_HOLD: int
PJSUA_CALL_MEDIA_LOCAL_HOLD: int
PJSUA_INVALID_ID: int
PJSUA_DESTROY_NO_RX_MSG: int
PJSUA_DTMF_METHOD_RFC2833: int
PJSUA_DTMF_METHOD_SIP_INFO: int
PJSUA_SIP_TIMER_OPTIONAL: int
PJMEDIA_SRTP_DISABLED: int
PJMEDIA_SRTP_OPTIONAL: int
PJMEDIA_SRTP_MANDATORY: int
PJSIP_INV_STATE_EARLY: int
PJSIP_INV_STATE_CONFIRMED: int
PJSIP_REDIRECT_STOP: int
PJSIP_INV_STATE_DISCONNECTED: int
PJSIP_TSX_STATE_TRYING: int
PJSIP_EVENT_RX_MSG: int
PJSIP_EVENT_TIMER: int
PJSIP_EVENT_TRANSPORT_ERROR: int
PJSIP_EVENT_TSX_STATE: int
PJSIP_TP_STATE_CONNECTED: int
PJSIP_TP_STATE_DISCONNECTED: int
PJSIP_TP_STATE_DESTROY: int
PJSIP_TRANSPORT_UDP: int
PJSIP_TRANSPORT_TCP: int

class Error(Exception):
    status: int
    reason: str

class ByteVector:
    this: Any
    def __init__(self, data: bytes = ...) -> None: ...
    def __iter__(self) -> Iterator[int]: ...
    def __bytes__(self) -> bytes: ...

class MediaFrame:
    type: int
    buf: ByteVector
    size: int

class MediaFormatAudio:
    type: int
    clockRate: int
    channelCount: int
    bitsPerSample: int
    frameTimeUsec: int

class ConfPortInfo:
    format: MediaFormatAudio

class AudioMedia:
    def getPortInfo(self) -> ConfPortInfo: ...
    def startTransmit(self, sink: AudioMedia) -> None: ...
    def stopTransmit(self, sink: AudioMedia) -> None: ...
    def getPortId(self) -> int: ...

class AudioMediaPort(AudioMedia):
    def createPort(self, name: str, fmt: MediaFormatAudio) -> None: ...
    def onFrameRequested(self, frame: MediaFrame) -> None: ...
    def onFrameReceived(self, frame: MediaFrame) -> None: ...

class MathStat:
    mean: int
    max: int

class RtcpStreamStat:
    pkt: int
    bytes: int
    loss: int
    discard: int
    dup: int
    reorder: int
    jitterUsec: MathStat

class RtcpStat:
    rxStat: RtcpStreamStat
    txStat: RtcpStreamStat
    rttUsec: MathStat

class JbufState:
    size: int
    avgDelayMsec: int

class StreamStat:
    rtcp: RtcpStat
    jbuf: JbufState

class StreamInfo:
    codecName: str
    audRxEventPt: int
    audTxEventPt: int
    codecClockRate: int
    remoteRtpAddress: str
    proto: int
    dir: int

class MediaTransportInfo:
    localRtpName: str
    localRtcpName: str
    srcRtpName: str
    srcRtcpName: str

class CallMediaInfo:
    index: int
    type: int
    status: int
    dir: int

class CallInfo:
    state: int
    stateText: str
    lastStatusCode: int
    lastReason: str
    callIdString: str
    media: list[CallMediaInfo]

class CallSetting:
    audioCount: int
    videoCount: int

class SipHeader:
    hName: str
    hValue: str

class SipTxOption:
    headers: list[SipHeader]
    localUri: str

class CallOpParam:
    statusCode: int
    reason: str
    txOption: SipTxOption
    opt: CallSetting
    def __init__(self, useDefaultCallSetting: bool = ...) -> None: ...

class CallSendDtmfParam:
    method: int
    digits: str
    duration: int

class OnDtmfEventParam:
    method: int
    timestamp: int
    digit: str
    duration: int
    flags: int

class OnCallTransferRequestParam:
    statusCode: int
    dstUri: str

class _Tsx:
    method: str
    statusCode: int
    statusText: str
    state: int

class _TsxStateSource:
    rdata: SipRxData

class _TsxState:
    tsx: _Tsx
    type: int
    src: _TsxStateSource

class _SipEventBody:
    tsxState: _TsxState

class _SipEvent:
    type: int
    body: _SipEventBody

class OnCallRedirectedParam:
    targetUri: str
    e: _SipEvent

class OnCallStateParam:
    e: _SipEvent

class OnCallTsxStateParam:
    e: _SipEvent

class Call:
    def __init__(self, acc: Account, call_id: int = ...) -> None: ...
    def getId(self) -> int: ...
    def getInfo(self) -> CallInfo: ...
    def getAudioMedia(self, med_idx: int) -> AudioMedia: ...
    def getStreamInfo(self, med_idx: int) -> StreamInfo: ...
    def getStreamStat(self, med_idx: int) -> StreamStat: ...
    def getMedTransportInfo(self, med_idx: int) -> MediaTransportInfo: ...
    def hasMedia(self) -> bool: ...
    def answer(self, prm: CallOpParam) -> None: ...
    def hangup(self, prm: CallOpParam) -> None: ...
    def makeCall(self, dst_uri: str, prm: CallOpParam) -> None: ...
    def xfer(self, dest: str, prm: CallOpParam) -> None: ...
    def sendDtmf(self, param: CallSendDtmfParam) -> None: ...

class SipRxData:
    info: str
    wholeMsg: str
    srcAddress: str

class OnStreamCreatedParam:
    stream: Any

class OnIncomingCallParam:
    callId: int
    rdata: SipRxData

class OnSelectAccountParam:
    rdata: SipRxData
    accountIndex: int

class TransportHandle:
    def __int__(self) -> int: ...

class OnTransportStateParam:
    hnd: TransportHandle
    type: str
    state: int

class OnRegStateParam:
    rdata: SipRxData
    status: int
    code: int
    reason: str
    expiration: int

class SocketConfig: ...

class TransportConfig:
    port: int
    portRange: int
    boundAddress: str
    publicAddress: str

class AccountMediaConfig:
    transportConfig: TransportConfig
    srtpUse: int
    srtpSecureSignaling: int
    lockCodecEnabled: bool

class AccountCallConfig:
    timerUse: int
    timerMinSESec: int
    timerSessExpiresSec: int

class AccountNatConfig:
    iceEnabled: bool

class AccountRegConfig:
    registrarUri: str
    timeoutSec: int
    retryIntervalSec: int
    firstRetryIntervalSec: int

class AuthCredInfo:
    def __init__(
        self, scheme: str, realm: str, user_name: str, data_type: int, data: str
    ) -> None: ...

class AccountSipConfig:
    authCreds: list[AuthCredInfo]
    proxies: list[str]

class AccountConfig:
    idUri: str
    mediaConfig: AccountMediaConfig
    callConfig: AccountCallConfig
    natConfig: AccountNatConfig
    regConfig: AccountRegConfig
    sipConfig: AccountSipConfig

class Account:
    def create(self, cfg: AccountConfig) -> None: ...
    def modify(self, cfg: AccountConfig) -> None: ...
    def getId(self) -> int: ...
    def shutdown(self) -> None: ...
    def setRegistration(self, renew: bool) -> None: ...

class LogEntry:
    level: int
    msg: str

class LogWriter:
    def write(self, entry: LogEntry) -> None: ...

class LogConfig:
    msgLogging: int
    level: int
    consoleLevel: int
    writer: LogWriter

class UaConfig:
    threadCnt: int
    mainThreadOnly: bool
    maxCalls: int
    userAgent: str

class MediaConfig:
    clockRate: int
    sndClockRate: int
    sndAutoCloseTime: int
    audioFramePtime: int
    channelCount: int
    noVad: bool
    ecTailLen: int
    threadCnt: int

class EpConfig:
    uaConfig: UaConfig
    medConfig: MediaConfig
    logConfig: LogConfig

class CodecInfo:
    codecId: str
    priority: int

class AudDevManager:
    def setNullDev(self) -> None: ...

class TransportInfo:
    localName: str

class Endpoint:
    def onTransportState(self, prm: OnTransportStateParam) -> None: ...
    def libCreate(self) -> None: ...
    def libInit(self, config: EpConfig) -> None: ...
    def libStart(self) -> None: ...
    def libDestroy(self, prmFlags: int = 0) -> None: ...
    def libHandleEvents(self, msec_timeout: int) -> int: ...
    def transportCreate(self, kind: int, cfg: TransportConfig) -> int: ...
    def transportGetInfo(self, transport_id: int) -> TransportInfo: ...
    def codecEnum2(self) -> list[CodecInfo]: ...
    def codecSetPriority(self, codec_id: str, priority: int) -> None: ...
    def audDevManager(self) -> AudDevManager: ...
    def onSelectAccount(self, prm: OnSelectAccountParam) -> None: ...
