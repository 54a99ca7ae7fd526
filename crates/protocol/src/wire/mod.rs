//! The messages, by direction.

mod client;
#[cfg(test)]
mod coverage;
mod datagram;
mod gateway;
mod hello;
mod job;
mod live;
mod worker;

pub use client::ClientSession;
pub use datagram::{Datagram, decode_datagrams, encode_datagrams};
pub use gateway::{
    FromGateway, GatewayRequest, GraphSource, HeldObject, InlineResult, Intake, JobAnswer, LayerAnswer,
    LayersAnswer, ObjectLocation, RequestError, Response, SubmitMsg, TaskAnswer, TaskQuery, ToGateway,
    WorkerAnswer,
};
pub use hello::{Hello, StaleTerm};
pub use job::{
    ExtensionRecord, FailureRecord, JobCounts, JobEvent, JobEventKind, JobMeta, JobOptions, JobState, LetGo,
    ResultEntry, StoredTaskState, TaskLog,
};
pub use live::{
    ClusterSnapshot, ClusterTotals, LiveMsg, OpLabel, OpTotal, OutputLine, SpanColumns, SpanKind,
    TransferTotal, WorkMsg, WorkerSnapshot,
};
pub use worker::{
    AssignJob, AssignMsg, ExecutingMsg, ExtendedMsg, FailedMsg, FinishedMsg, FromWorker, GoneInput, GoneMsg,
    HeartbeatMsg, InventoryMsg, JobAttempts, JobObjects, OpsMsg, PeerInfo, PreparingMsg, RegisterMsg,
    ReplicateMsg, ReturnOutcome, ReturnedMsg, TaskLogMsg, ToWorker, WorkerInfo,
};
