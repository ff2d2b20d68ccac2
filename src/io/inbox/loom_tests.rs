//! A task that sleeps must hear of everything that is left for it, whoever leaves it and whenever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use super::*;
use crate::io::loom_task::{Pause, join, model, run};

/// A task that adds up what it finds, until it has found `until`. How often it slept.
fn add_up(inbox: &Inbox<Vec<u32>>, until: u32) -> usize {
    let mut sum = 0;
    run(|cx| {
        loop {
            inbox.take(cx, |mail| sum += mail.drain(..).sum::<u32>());
            if sum == until {
                return Pause::Ended;
            }
            if inbox.falls_asleep(|mail| !mail.is_empty()) {
                return Pause::Asleep;
            }
        }
    })
}

fn leave(inbox: &Arc<Inbox<Vec<u32>>>, number: u32) -> thread::JoinHandle<()> {
    let inbox = Arc::clone(inbox);
    thread::spawn(move || inbox.tell(|mail| mail.push(number)))
}

#[test]
fn nothing_that_is_left_is_slept_over() {
    model(|| {
        let inbox = Arc::new(Inbox::new(Vec::new()));
        let others = [leave(&inbox, 1), leave(&inbox, 2)];
        add_up(&inbox, 3);
        join(others);
    });
}

#[test]
fn one_after_the_other_is_not_slept_over_either() {
    model(|| {
        let inbox = Arc::new(Inbox::new(Vec::new()));
        let other = Arc::clone(&inbox);
        let other = thread::spawn(move || (1..=3).for_each(|number| other.tell(|mail| mail.push(number))));
        add_up(&inbox, 6);
        other.join().unwrap();
    });
}

/// As while a connection is being made: the task sleeps whatever it finds, and is woken for each look.
#[test]
fn a_task_that_sleeps_anyway_is_woken_for_what_comes_afterwards() {
    model(|| {
        let inbox = Arc::new(Inbox::new(Vec::new()));
        let others = [leave(&inbox, 1), leave(&inbox, 2)];
        let mut sum = 0;
        run(|cx| {
            inbox.take_and_sleep(cx, |mail| sum += mail.drain(..).sum::<u32>());
            if sum == 3 { Pause::Ended } else { Pause::Asleep }
        });
        join(others);
    });
}

/// A connection that was made goes to another task with another waker: only that one counts then.
#[test]
fn the_waker_of_the_last_look_is_the_one_that_is_woken() {
    model(|| {
        let inbox = Arc::new(Inbox::new(Vec::new()));
        let other = leave(&inbox, 1);
        let mut sum = 0;
        run(|cx| {
            inbox.take_and_sleep(cx, |mail| sum += mail.drain(..).sum::<u32>());
            Pause::Ended
        });
        let last = leave(&inbox, 2);
        add_up(&inbox, 3 - sum);
        other.join().unwrap();
        last.join().unwrap();
    });
}

#[test]
fn a_burst_wakes_once() {
    model(|| {
        let inbox = Arc::new(Inbox::new(Vec::new()));
        let wakes = Arc::new(AtomicUsize::new(0));
        struct Count(Arc<AtomicUsize>);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let waker = Waker::from(Arc::new(Count(Arc::clone(&wakes))));
        let cx = Context::from_waker(&waker);
        let mut found: usize = 0;
        inbox.take(&cx, |mail| found += mail.drain(..).count());
        let others = [leave(&inbox, 1), leave(&inbox, 2)];
        let asleep = inbox.falls_asleep(|mail| !mail.is_empty());
        join(others);
        // Awake, it promised another look: nobody needs to wake it. Asleep, the first of both does.
        assert_eq!(wakes.load(Ordering::SeqCst), usize::from(asleep));
    });
}

/// What is left while the task ends is either taken by it or refused, and nobody keeps it alive.
#[test]
fn the_end_and_what_comes_too_late() {
    model(|| {
        let inbox = Arc::new(Inbox::new((Vec::new(), false)));
        let other = Arc::clone(&inbox);
        let other = thread::spawn(move || {
            other.tell(|(mail, gone): &mut (Vec<u32>, bool)| {
                if !*gone {
                    mail.push(1);
                }
                *gone
            })
        });
        let mut taken = 0;
        let slept = run(|cx| {
            inbox.take(cx, |(mail, _)| taken += mail.drain(..).count());
            Pause::Ended
        });
        taken += inbox.end(|(mail, gone)| {
            *gone = true;
            mail.drain(..).count()
        });
        let refused = other.join().unwrap();
        assert_eq!((slept, taken), (0, usize::from(!refused)));
        assert!(inbox.lock().sleeper.is_none());
    });
}
