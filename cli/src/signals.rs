//! Ctrl-C: the first one cancels what is under way, the second one ends the program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::exit::{Exit, Failure, Result};
use crate::output;

/// How long a cancelled command may take to end by itself.
const PATIENCE: Duration = Duration::from_millis(700);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static CANCEL: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);

/// Watches for Ctrl-C from now on.
pub fn watch() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT]).map_err(|reason| Failure::usage(format_args!("signals: {reason}")))?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if INTERRUPTED.swap(true, Ordering::AcqRel) {
                std::process::exit(Exit::Interrupted as i32);
            }
            match &*CANCEL.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(cancel) => cancel(),
                // Nothing is on its way yet: reading input, or an IDL.
                None => give_up(),
            }
            thread::spawn(|| {
                thread::sleep(PATIENCE);
                give_up();
            });
        }
    });
    Ok(())
}

fn give_up() -> ! {
    output::failure(&Failure::interrupted());
    std::process::exit(Exit::Interrupted as i32);
}

/// What Ctrl-C does from now on; it runs on another thread.
pub fn on_interrupt(cancel: impl Fn() + Send + 'static) {
    *CANCEL.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(cancel));
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Acquire)
}
