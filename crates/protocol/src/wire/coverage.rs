//! Nothing travels that no golden file shows: a new variant does not compile here until it has one.

use std::path::PathBuf;

use super::*;
use crate::ErrorKind;
use crate::codec;
use crate::graph::{Layer, OpKind, Rerun};

/// The golden files of an enum's variants. An exhaustive match, so that a new variant has to name its own.
macro_rules! golden_files {
    ($of:ident { $($pattern:pat => $file:literal,)+ }) => {{
        let _every_variant = |value: &$of| match value { $($pattern => {})+ };
        [$($file),+]
    }};
}

/// The names under which an enum's plain variants travel, checked; exhaustive as well.
macro_rules! check_names {
    ($of:ident { $($variant:ident => $name:literal,)+ }) => {{
        let _every_variant = |value: $of| match value { $($of::$variant => {})+ };
        $(assert_eq!(codec::encode(&$of::$variant).ok(), codec::encode(&$name).ok(), $name);)+
    }};
}

fn check_files<const N: usize>(files: [&str; N]) {
    for file in files {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{file}.hex"));
        assert!(
            path.exists(),
            "no {}: add a sample to tests/samples",
            path.display()
        );
    }
}

#[test]
fn every_message_between_leader_and_workers_has_a_golden_file() {
    check_files(golden_files!(ToWorker {
        ToWorker::Settled => "to_worker_settled",
        ToWorker::Ops(_) => "to_worker_ops",
        ToWorker::Peers(_) => "to_worker_peers",
        ToWorker::Assign(_) => "to_worker_assign",
        ToWorker::Retract { .. } => "to_worker_retract",
        ToWorker::Cancel { .. } => "to_worker_cancel",
        ToWorker::Free { .. } => "to_worker_free",
        ToWorker::ForgetJob { .. } => "to_worker_forget_job",
        ToWorker::Replicate(_) => "to_worker_replicate",
        ToWorker::Drain => "to_worker_drain",
        ToWorker::Shutdown => "to_worker_shutdown",
    }));
    check_files(golden_files!(FromWorker {
        FromWorker::Register(_) => "from_worker_register",
        FromWorker::Inventory(_) => "from_worker_inventory",
        FromWorker::Finished(_) => "from_worker_finished",
        FromWorker::Extended(_) => "from_worker_extended",
        FromWorker::Failed(_) => "from_worker_failed",
        FromWorker::Returned(_) => "from_worker_returned",
        FromWorker::Executing(_) => "from_worker_executing",
        FromWorker::Gone(_) => "from_worker_gone",
        FromWorker::Lost(_) => "from_worker_lost",
        FromWorker::Replicated(_) => "from_worker_replicated",
        FromWorker::Preparing(_) => "from_worker_preparing",
        FromWorker::Log(_) => "from_worker_log",
        FromWorker::Heartbeat(_) => "from_worker_heartbeat",
        FromWorker::Draining => "from_worker_draining",
    }));
}

#[test]
fn every_datagram_has_a_golden_file() {
    check_files(golden_files!(Datagram {
        Datagram::Hello(_) => "datagram_hello",
        Datagram::StaleTerm(_) => "datagram_stale",
        Datagram::Intake(_) => "datagram_intake",
        Datagram::FromGateway(_) => "datagram_ask_job",
        Datagram::ToGateway(_) => "datagram_ended",
        Datagram::Live(_) => "datagram_live",
    }));
    check_files(golden_files!(Intake { Intake::Submit(_) => "intake_submit", }));
    check_files(golden_files!(GraphSource {
        GraphSource::Inline(_) => "datagram_intake",
        GraphSource::Blob(_) => "intake_submit",
    }));
    check_files(golden_files!(LiveMsg {
        LiveMsg::Job { .. } => "live_state",
        LiveMsg::Snapshot(_) => "live_snapshot",
        LiveMsg::Work(_) => "live_work",
    }));
    check_files(golden_files!(JobEventKind {
        JobEventKind::Accepted { .. } => "live_accepted",
        JobEventKind::Progress { .. } => "live_progress",
        JobEventKind::Extended { .. } => "live_extended",
        JobEventKind::Retried { .. } => "live_retried",
        JobEventKind::TaskFailed { .. } => "live_task_failed",
        JobEventKind::Unschedulable { .. } => "live_unschedulable",
        JobEventKind::Preparing { .. } => "live_preparing",
        JobEventKind::WorkerLost { .. } => "live_worker_lost",
        JobEventKind::Recovered { .. } => "live_recovered",
        JobEventKind::State { .. } => "live_state",
    }));
}

#[test]
fn every_question_and_answer_has_a_golden_file() {
    check_files(golden_files!(GatewayRequest {
        GatewayRequest::Watch { .. } => "datagram_ask_watch",
        GatewayRequest::Job { .. } => "datagram_ask_job",
        GatewayRequest::Cancel { .. } => "datagram_ask_cancel",
        GatewayRequest::Remove { .. } => "datagram_ask_remove",
        GatewayRequest::Tasks(_) => "datagram_ask_tasks",
        GatewayRequest::Task { .. } => "datagram_ask_task",
        GatewayRequest::Locate { .. } => "datagram_ask_locate",
        GatewayRequest::Workers => "datagram_ask_workers",
        GatewayRequest::Drain { .. } => "datagram_ask_drain",
        GatewayRequest::Layers { .. } => "datagram_ask_layers",
        GatewayRequest::ReleaseTasks { .. } => "datagram_ask_release_tasks",
        GatewayRequest::CancelTasks { .. } => "datagram_ask_cancel_tasks",
    }));
    check_files(golden_files!(ToGateway {
        ToGateway::Response { .. } => "datagram_answer_job",
        ToGateway::Submitted { .. } => "datagram_submitted",
        ToGateway::Ended(_) => "datagram_ended",
    }));
    check_files(golden_files!(Response {
        Response::Job(_) => "datagram_answer_job",
        Response::Tasks { .. } => "datagram_answer_tasks",
        Response::Task(_) => "datagram_answer_task",
        Response::Location(_) => "datagram_answer_held",
        Response::Workers(_) => "datagram_answer_workers",
        Response::Done => "datagram_answer_done",
        Response::Layers(_) => "datagram_answer_layers",
        Response::Changed { .. } => "datagram_answer_changed",
    }));
    check_files(golden_files!(ObjectLocation {
        ObjectLocation::Held(_) => "datagram_answer_held",
        ObjectLocation::Pending { .. } => "datagram_answer_pending",
        ObjectLocation::Failed(_) => "datagram_answer_failed",
    }));
    check_files(golden_files!(RequestError {
        RequestError::UnknownJob(_) => "datagram_answer_unknown_job",
        RequestError::UnknownTask(_) => "datagram_answer_unknown_task",
        RequestError::UnknownWorker(_) => "datagram_answer_unknown_worker",
        RequestError::IdConflict(_) => "datagram_answer_id_conflict",
        RequestError::InvalidGraph { .. } => "datagram_answer_invalid_graph",
        RequestError::GraphExpired(_) => "datagram_answer_graph_expired",
        RequestError::WrongState(_) => "datagram_answer_wrong_state",
        RequestError::Gone(_) => "datagram_answer_gone",
        RequestError::Overloaded => "datagram_answer_overloaded",
    }));
}

#[test]
fn every_layer_and_record_has_a_golden_file() {
    check_files(golden_files!(Layer {
        Layer::Explicit(_) => "graph",
        Layer::Blockwise(_) => "graph",
        Layer::TreeReduce(_) => "graph",
        Layer::AllToAll(_) => "graph",
    }));
    check_files(golden_files!(ClientSession {
        ClientSession::Open => "client_session_open",
        ClientSession::Ended => "client_session_ended",
    }));
    check_files(["job_meta", "result_entry", "failure_record", "graph_extension"]);
}

#[test]
fn plain_variants_keep_their_names() {
    check_names!(JobState {
        Accepted => "accepted",
        Running => "running",
        Succeeded => "succeeded",
        Recovering => "recovering",
        Failed => "failed",
        Cancelling => "cancelling",
        Cancelled => "cancelled",
    });
    check_names!(ReturnOutcome {
        Returned => "returned",
        Started => "started",
        Done => "done",
        Stopped => "stopped",
    });
    check_names!(OpKind {
        Native => "native",
        Frame => "frame",
        Array => "array",
        Python => "python",
        Command => "command",
        Import => "import",
    });
    check_names!(Rerun {
        Always => "always",
        Never => "never",
    });
    check_names!(ErrorKind {
        User => "user",
        Panicked => "panicked",
        CommandFailed => "command_failed",
        TimedOut => "timed_out",
        DeadlineExceeded => "deadline_exceeded",
        UnknownOp => "unknown_op",
        BadInput => "bad_input",
        UpstreamFailed => "upstream_failed",
        KilledWorkers => "killed_workers",
        InputLost => "input_lost",
        IndeterminateLoss => "indeterminate_loss",
        RerunForbidden => "rerun_forbidden",
        OutOfMemory => "out_of_memory",
        SpillFailed => "spill_failed",
        Unschedulable => "unschedulable",
        InvalidQuery => "invalid_query",
        BadFile => "bad_file",
        Cancelled => "cancelled",
        ExecutorDied => "executor_died",
        Unpicklable => "unpicklable",
        Environment => "environment",
        FileNotFound => "file_not_found",
        OutsideRoots => "outside_roots",
        Internal => "internal",
    });
}
