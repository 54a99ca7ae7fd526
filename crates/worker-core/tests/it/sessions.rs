//! Opening, losing and re-opening the conversation.

use std::time::Duration;

use millstream_protocol::wire::{
    Datagram, ExecutingMsg, FromWorker, Hello, InventoryMsg, StaleTerm, ToWorker, decode_datagrams,
};
use millstream_types::{ClusterName, LeaderId, SessionNo, Term};
use millstream_worker_core::{WorkerEffect, WorkerEvent};

use super::rig::{Rig, Step, assign, attempt, finished, hello, row, run, started};

fn inventory(step: &Step) -> InventoryMsg {
    let mut whole = InventoryMsg::default();
    for item in &step.said {
        if let FromWorker::Inventory(part) = item {
            assert!(!whole.last);
            whole.objects.extend(part.objects.clone());
            whole.queued.extend(part.queued.clone());
            whole.running.extend(part.running.clone());
            whole.last = part.last;
        }
    }
    assert!(whole.last);
    whole
}

fn told(frame: &[u8]) -> Vec<Datagram> {
    decode_datagrams(&ClusterName::default(), frame).unwrap().items
}

fn stale(known: u32) -> Datagram {
    Datagram::StaleTerm(StaleTerm { known: Term(known) })
}

#[test]
fn nothing_is_said_before_link_and_leader_are_known() {
    let mut rig = Rig::alone(1);
    rig.apply(WorkerEvent::Hello(hello(1)));
    assert_eq!(rig.step(), Step::default());
    rig.apply(WorkerEvent::LinkUp {
        queue_base: "w".into(),
    });
    let step = rig.step();
    assert_eq!(step.effects, [WorkerEffect::OpenQueue { name: "w.1".into() }]);
    assert!(
        matches!(&step.said[0], FromWorker::Register(msg) if msg.queue == "w.1" && msg.session == SessionNo(1))
    );
    assert_eq!(
        inventory(&step),
        InventoryMsg {
            last: true,
            ..InventoryMsg::default()
        }
    );
}

#[test]
fn a_new_term_gets_a_session_with_the_whole_inventory() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[]), row(3, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.finish(1, 1);
    rig.step();
    rig.apply(WorkerEvent::Hello(hello(2)));
    let step = rig.step();
    assert_eq!(step.effects, [WorkerEffect::OpenQueue { name: "w.2".into() }]);
    let inventory = inventory(&step);
    assert_eq!(inventory.objects[0].tasks.0, [1]);
    assert_eq!(inventory.objects[0].attempts.0, [attempt(1).packed()]);
    assert_eq!(inventory.running[0].tasks.0, [2]);
    assert_eq!(inventory.queued[0].tasks.0, [3]);
}

#[test]
fn an_old_leader_is_refused_with_the_higher_term() {
    let mut rig = Rig::in_session(1);
    rig.apply(WorkerEvent::Hello(hello(2)));
    rig.step();
    let mut out = Vec::new();
    rig.core.apply(rig.now, WorkerEvent::Hello(hello(1)));
    rig.core.poll(rig.now, &mut out);
    let refusal = out.iter().find_map(|effect| match effect {
        WorkerEffect::Send { queue, frame } if queue == "leader.1" => Some(frame),
        _ => None,
    });
    assert_eq!(told(refusal.unwrap()), [stale(2)]);
}

#[test]
fn unacknowledged_reports_come_before_the_inventory_is_whole() {
    let mut rig = Rig::in_session(1);
    rig.acks = false;
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.fail(1, 1);
    let step = rig.step();
    assert!(matches!(&step.said[..], [FromWorker::Failed(_)]));
    rig.apply(WorkerEvent::Hello(hello(2)));
    let step = rig.step();
    let kinds: Vec<_> = step.said.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 4);
    assert!(matches!(&step.said[1], FromWorker::Inventory(msg) if !msg.last));
    assert!(matches!(&step.said[2], FromWorker::Failed(msg) if msg.task.0 == 1));
    assert!(matches!(&step.said[3], FromWorker::Inventory(msg) if msg.last));
}

#[test]
fn acknowledged_reports_are_not_said_again() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.fail(1, 1);
    rig.step();
    rig.apply(WorkerEvent::Hello(hello(2)));
    let step = rig.step();
    assert!(!step.said.iter().any(|item| matches!(item, FromWorker::Failed(_))));
}

#[test]
fn a_missing_batch_opens_a_new_session() {
    let mut rig = Rig::in_session(1);
    let session = rig.session.as_mut().unwrap();
    session.push(&ToWorker::Settled).unwrap();
    drop(session.poll());
    rig.pass(Duration::from_millis(200));
    rig.tell(&[ToWorker::Settled]);
    let step = rig.step();
    assert_eq!(step.effects, [WorkerEffect::OpenQueue { name: "w.2".into() }]);
}

#[test]
fn another_leader_of_the_same_term_is_refused_even_after_silence() {
    let mut rig = Rig::in_session(1);
    rig.acks = false;
    rig.apply(WorkerEvent::LeaderUnroutable {
        queue: "leader.1".into(),
    });
    rig.step();
    let rival = Hello {
        leader: LeaderId::from_u128(7),
        queue: "leader.rival".into(),
        ..hello(1)
    };
    let mut out = Vec::new();
    rig.core.apply(rig.now, WorkerEvent::Hello(rival));
    rig.core.poll(rig.now, &mut out);
    let [WorkerEffect::Send { queue, frame }] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(queue, "leader.rival");
    assert_eq!(told(frame), [stale(1)]);
    rig.apply(WorkerEvent::Hello(hello(2)));
    assert_eq!(
        rig.step().effects,
        [WorkerEffect::OpenQueue { name: "w.2".into() }]
    );
}

#[test]
fn an_idle_worker_sends_a_heartbeat_each_second() {
    let mut rig = Rig::in_session(1);
    for _ in 0..10 {
        rig.now = rig.core.next_wakeup().unwrap();
        rig.apply(WorkerEvent::Tick);
        let step = rig.step_with_all();
        assert!(matches!(step.said[..], [FromWorker::Heartbeat(_)]));
    }
    assert!(rig.now.as_micros() >= 11_000_000 && rig.now.as_micros() <= 12_000_000);
}

#[test]
fn after_a_returned_frame_the_worker_waits_for_the_next_hello() {
    let mut rig = Rig::in_session(1);
    rig.apply(WorkerEvent::LeaderUnroutable {
        queue: "leader.0".into(),
    });
    assert_eq!(rig.step(), Step::default());
    rig.apply(WorkerEvent::LeaderUnroutable {
        queue: "leader.1".into(),
    });
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.step(), Step::default());
    rig.apply(WorkerEvent::Hello(hello(1)));
    assert_eq!(
        rig.step().effects,
        [WorkerEffect::OpenQueue { name: "w.2".into() }]
    );
}

#[test]
fn work_goes_on_without_a_link() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[]), row(2, &[])])]);
    rig.expect_started(&[run(1, 1)]);
    rig.apply(WorkerEvent::LinkDown);
    rig.finish(1, 1);
    assert_eq!(started(&rig.step()), [run(2, 1)]);
    rig.apply(WorkerEvent::LinkUp {
        queue_base: "w".into(),
    });
    let step = rig.step();
    assert_eq!(inventory(&step).objects[0].tasks.0, [1]);
    assert_eq!(inventory(&step).running[0].tasks.0, [2]);
    assert_eq!(finished(&step), [1], "and the report itself");
}

#[test]
fn a_task_that_executes_for_long_is_reported_at_once() {
    let mut rig = Rig::in_session(1);
    rig.tell(&[assign(&[row(1, &[])])]);
    rig.step();
    rig.pass(Duration::from_millis(20));
    let step = rig.step_with_all();
    let [FromWorker::Executing(ExecutingMsg { tasks, .. })] = &step.said[..] else {
        panic!("{step:?}")
    };
    assert_eq!(tasks[0].tasks.0, [1]);
    rig.pass(Duration::from_millis(20));
    assert_eq!(rig.step_with_all().said, []);
}

#[test]
fn finished_tasks_join_one_report_while_the_window_is_full() {
    let mut rig = Rig::in_session(100);
    rig.acks = false;
    let rows: Vec<_> = (0..100).map(|task| row(task, &[])).collect();
    rig.tell(&[assign(&rows)]);
    rig.step();
    let mut batches = Vec::new();
    for task in 0..50 {
        rig.finish(task, 1);
        let step = rig.step();
        batches.extend(
            step.said
                .iter()
                .filter(|item| matches!(item, FromWorker::Finished(_)))
                .cloned(),
        );
    }
    assert!(batches.len() <= 4);
    rig.acks = true;
    rig.tell(&[ToWorker::Settled]);
    let step = rig.step();
    assert_eq!(finished(&step).len(), 50 - batches.len());
}

#[test]
fn a_malformed_batch_is_put_right_by_an_inventory() {
    let mut rig = Rig::in_session(1);
    rig.pass(Duration::from_millis(200));
    let session = rig.session.as_mut().unwrap();
    session.push(&"nonsense").unwrap();
    let frame = session.poll().unwrap();
    rig.apply(WorkerEvent::LeaderFrame(frame));
    assert_eq!(
        rig.step().effects,
        [WorkerEffect::OpenQueue { name: "w.2".into() }]
    );
    rig.apply(WorkerEvent::LeaderFrame(b"\x01noise".to_vec().into()));
    assert_eq!(rig.step(), Step::default());
}
