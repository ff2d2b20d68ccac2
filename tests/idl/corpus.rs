//! Every `.thrift` file of a folder of real IDLs. The folder is not part of the repository.

use std::path::{Path, PathBuf};
use std::{env, fs};

use krpc::idl::{FileProvider, MemoryProvider, Options, Severity, Style, compile, dump, format};

/// Files of apache/thrift that are refused, and the rules that refuse them.
const REFUSED: &[(&str, &[&str])] = &[
    // Made to be broken: a number of 65 bits, and one beyond i32 in an enum.
    ("apache/test/BrokenConstants.thrift", &["bad-integer", "enum-overflow"]),
    // Two names for one number, and a value looked for in the wrong enum. Kitex's compiler refuses both.
    ("apache/test/EnumTest.thrift", &["duplicate-enum-number", "undefined-value"]),
    // Apache counts fields without ids down from -1, Kitex up from 1: the third field has id 1 again.
    ("apache/test/Identifiers.thrift", &["duplicate-field-id"]),
];

/// Folders that the files' own build passes with `-I`, below the corpus.
const SEARCH: &[&str] = &[
    "apache/test",
    "apache/lib/rs/test_recursive/src/maintenance",
    "apache/lib/rs/test_recursive/src/transit",
    "apache/lib/rs/test_recursive/src/transit/light",
    "apache/lib/rs/test_recursive/src/transit/services",
    "apache/lib/rs/test_recursive/src",
];

fn folder() -> Option<PathBuf> {
    let given = env::var_os("KRPC_IDL_CORPUS").map(PathBuf::from);
    // Beside the repository, or beside the folder of its work trees.
    let parents = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).take(2);
    let mut beside = parents.map(|parent| parent.join("shared/data/idl")).filter(|path| path.is_dir());
    given.or_else(|| beside.next())
}

fn files_of(folder: &Path) -> FileProvider {
    let directories = SEARCH.iter().map(|below| folder.join(below));
    directories.fold(FileProvider::new(), |files, directory| files.search(directory.to_string_lossy()))
}

fn thrift_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            thrift_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "thrift") {
            found.push(path);
        }
    }
}

#[test]
fn real_files_compile_or_are_refused_for_a_reason() {
    let Some(folder) = folder() else {
        eprintln!("skipped: 1 corpus (no folder; set KRPC_IDL_CORPUS)");
        return;
    };
    let mut files = Vec::new();
    thrift_files(&folder, &mut files);
    let mut wrong = Vec::new();
    let mut refused = 0;
    for path in &files {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let compiled = compile(path.to_str().unwrap(), &files_of(&folder), &Options::default());
        let mut rules: Vec<&str> = compiled
            .diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .map(|found| found.rule)
            .collect();
        rules.sort_unstable();
        rules.dedup();
        let expected =
            REFUSED.iter().find(|(known, _)| *known == name).map_or(&[] as &[&str], |(_, rules)| rules);
        refused += usize::from(!rules.is_empty());
        if rules != expected {
            wrong
                .push(format!("{name}: {rules:?}, expected {expected:?}\n{}", compiled.render(Style::Short)));
        }
    }
    eprintln!("{} files, {refused} refused as expected", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Formatting keeps what a file means and says, and does not change its mind.
#[test]
fn real_files_mean_the_same_after_formatting() {
    let Some(folder) = folder() else {
        eprintln!("skipped: 1 corpus (no folder; set KRPC_IDL_CORPUS)");
        return;
    };
    let mut files = Vec::new();
    thrift_files(&folder, &mut files);
    let meaning = |text: &str| {
        let files = MemoryProvider::new().file("a.thrift", text);
        let compiled = compile("a.thrift", &files, &Options::default());
        compiled.schema.map(|schema| dump::to_json(&schema))
    };
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let Ok(once) = format::format("a.thrift", &text) else { continue };
        assert_eq!(format::format("a.thrift", &once).unwrap(), once, "{}", path.display());
        assert_eq!(meaning(&text), meaning(&once), "{}", path.display());
        let words = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(words(&text).trim_start_matches('\u{FEFF}'), words(&once), "{}", path.display());
    }
}
