//! Help, completions, manual pages.

use std::process::Command;

use crate::support::{Folder, krpc};

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = krpc(&["completions", shell]).ok();
        assert!(ran.text().contains("json-status"), "{shell}");
    }
    let folder = Folder::new();
    let script = folder.file("krpc.bash", krpc(&["completions", "bash"]).ok().text());
    if let Ok(status) = Command::new("bash").args(["-n", &script]).status() {
        assert!(status.success());
    }
}

#[test]
fn manual_pages_for_every_command() {
    for command in
        [&[][..], &["call"], &["serve"], &["bench"], &["idl"], &["idl", "check"], &["completions"], &["man"]]
    {
        let page = krpc(&[&["man"], command].concat()).ok();
        assert!(page.text().contains(".TH krpc") && page.text().contains(".SH"), "{command:?}");
        assert!(!page.text().contains("krpc-krpc"), "{command:?}");
    }
    assert!(krpc(&["man", "call"]).ok().text().contains("Exit codes"));
}

#[test]
fn help_has_examples_and_goes_to_stdout() {
    for command in [&[][..], &["call"], &["serve"], &["bench"]] {
        let help = krpc(&[command, &["--help"]].concat()).ok();
        assert!(help.text().contains("Examples:") && help.stderr.is_empty(), "{command:?}");
        assert!(!help.text().contains('\x1b'));
    }
}
