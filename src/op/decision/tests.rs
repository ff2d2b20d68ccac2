use std::sync::mpsc;
use std::thread;

use super::*;

const SOON: Option<Duration> = Some(Duration::from_millis(5));
const LATE: Option<Duration> = Some(Duration::from_secs(20));

/// A question whose hook sends what it gets.
fn asked() -> (Decision<&'static str, u32>, Expiry<u32>, mpsc::Receiver<u32>) {
    let (sender, answers) = mpsc::channel();
    let (decision, expiry) = ask_then("retry?", 0, move |answer| sender.send(answer).expect("a listener"));
    (decision, expiry, answers)
}

#[test]
fn the_first_answer_counts() {
    let (decision, expiry, answers) = asked();
    assert_eq!(*decision.question(), "retry?");
    assert!(decision.is_open());
    assert_eq!(decision.answer(7), Ok(()));
    assert!(!decision.is_open());
    assert_eq!(decision.answer(8), Err(Gone));
    expiry.expire();
    drop(decision);
    assert_eq!(answers.iter().collect::<Vec<_>>(), [7]);
}

#[test]
fn a_dropped_question_has_the_default() {
    let (decision, expiry, answers) = asked();
    drop(expiry);
    drop(decision);
    assert_eq!(answers.iter().collect::<Vec<_>>(), [0]);
}

#[test]
fn an_expired_question_has_the_default_and_late_answers_are_gone() {
    let (decision, expiry, answers) = asked();
    expiry.expire();
    expiry.expire();
    assert!(!decision.is_open());
    assert_eq!(decision.answer(7), Err(Gone));
    assert_eq!(answers.iter().collect::<Vec<_>>(), [0]);
}

#[test]
fn an_asker_may_wait() {
    let (decision, answer) = ask((), 0);
    thread::scope(|scope| {
        scope.spawn(|| decision.answer(7));
        assert_eq!(answer.wait(LATE), 7);
    });
    let (decision, answer) = ask((), 0);
    drop(decision);
    assert_eq!(answer.wait(None), 0);
}

#[test]
fn a_wait_in_vain_ends_the_question() {
    for timeout in [SOON, Some(Duration::ZERO)] {
        let (decision, answer) = ask((), 3);
        assert_eq!(answer.wait(timeout), 3);
        assert_eq!(decision.answer(7), Err(Gone));
    }
}

#[test]
fn an_asker_who_leaves_withdraws() {
    let (decision, answer) = ask((), 0);
    drop(answer);
    assert!(!decision.is_open());
    assert_eq!(decision.answer(7), Err(Gone));
}

/// Answers and defaults are dropped or handed over, each once.
#[test]
fn nothing_leaks_whoever_is_first() {
    let token = Arc::new(());
    for round in 0..3_000 {
        let (sender, answers) = mpsc::channel();
        let (decision, expiry) = ask_then((), token.clone(), move |answer| drop(sender.send(answer)));
        let answer = token.clone();
        thread::scope(|scope| {
            scope.spawn(move || expiry.expire());
            scope.spawn(move || {
                if round % 2 == 0 {
                    let _ = decision.answer(answer);
                }
            });
        });
        assert_eq!(answers.iter().count(), 1);
    }
    assert_eq!(Arc::strong_count(&token), 1);
}
