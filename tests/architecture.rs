//! The order of the `mod` lines in `src/lib.rs` is the dependency order: a
//! module names only modules declared above it, by their own path, one path
//! per `use`. Every source file opens with `//!`.
#![allow(clippy::unwrap_used, reason = "an unreadable source tree is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_module_depends_only_on_those_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = declared_modules(&fs::read_to_string(root.join("lib.rs")).unwrap());
    assert!(!order.is_empty());
    let mut errors = Vec::new();
    for (rank, module) in order.iter().enumerate() {
        for file in sources(&root, module) {
            let text = fs::read_to_string(&file).unwrap();
            if !text.starts_with("//!") {
                errors.push(format!("{}: no module doc", file.display()));
            }
            for named in crate_paths(&text) {
                match order.iter().position(|it| *it == named) {
                    Some(at) if at <= rank => {}
                    Some(_) => {
                        errors.push(format!("{}: names `{named}`, declared below", file.display()));
                    }
                    None => errors
                        .push(format!("{}: `crate::{named}` is not a module path", file.display())),
                }
            }
        }
    }
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

/// Tests in the file are not counted.
#[test]
fn no_file_grows_beyond_five_hundred_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for module in declared_modules(&fs::read_to_string(root.join("lib.rs")).unwrap()) {
        files.extend(sources(&root, &module));
    }
    files.extend(sources(&root, "cli"));
    assert!(files.len() > 40);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().lines().count();
        assert!(code <= 500, "{}: {code} lines", file.display());
    }
}

fn declared_modules(lib: &str) -> Vec<String> {
    lib.lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .filter_map(|rest| rest.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

fn sources(root: &Path, module: &str) -> Vec<PathBuf> {
    let file = root.join(format!("{module}.rs"));
    let mut found = if file.exists() { vec![file] } else { Vec::new() };
    let mut pending = vec![root.join(module)];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The first segment of every `crate::` path outside comment lines. A grouped
/// `crate::{...}` yields the empty name, which is no module.
fn crate_paths(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect())
        .collect()
}
