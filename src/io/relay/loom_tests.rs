//! Every task whose waker is left is woken, whenever that is.

use loom::thread;

use super::*;
use crate::io::loom_task::{Bell, Pause, join, model, run};

/// The shard: its relay runs until all these were woken.
fn relay_until(relay: &Relay, bells: &[Arc<Bell>]) {
    let mut list = Vec::new();
    let mut left: Vec<_> = bells.iter().collect();
    run(|cx| {
        let _ = relay.poll(cx, &mut list);
        left.retain(|bell| !bell.has_rung());
        if left.is_empty() { Pause::Ended } else { Pause::Asleep }
    });
}

fn leave(relay: &Arc<Relay>, bell: &Arc<Bell>) -> thread::JoinHandle<()> {
    let (relay, waker) = (Arc::clone(relay), Waker::from(Arc::clone(bell)));
    thread::spawn(move || relay.leave(waker))
}

#[test]
fn nobody_is_left_asleep() {
    model(|| {
        let relay = Relay::new();
        let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
        let others = [leave(&relay, &bells[0]), leave(&relay, &bells[1])];
        relay_until(&relay, &bells);
        join(others);
    });
}

#[test]
fn nor_one_after_the_other() {
    model(|| {
        let relay = Relay::new();
        let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
        let (from, wakers) = (Arc::clone(&relay), bells.clone().map(Waker::from));
        let other = thread::spawn(move || wakers.into_iter().for_each(|waker| from.leave(waker)));
        relay_until(&relay, &bells);
        other.join().unwrap();
    });
}

#[test]
fn a_waker_left_while_the_shard_ends_is_dropped() {
    model(|| {
        let (relay, bell) = (Relay::new(), Arc::new(Bell::default()));
        let other = leave(&relay, &bell);
        drop(Running(Arc::clone(&relay)));
        other.join().unwrap();
        assert_eq!(Arc::strong_count(&bell), 1);
    });
}
