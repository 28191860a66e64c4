//! A copy of the tree in which a fault can be planted.

use super::list::Mutant;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// A copy of the files of a tree that git does not ignore, and the folder in which it is built.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    work: PathBuf,
}

impl Tree {
    /// A copy of what git does not ignore in `root`, as it lies there, below `work`. What a copy from an
    /// earlier time has already is left untouched, so that little has to be built again.
    ///
    /// # Errors
    /// Files that cannot be read or written, and a `root` that is not in a git repository.
    pub fn copy(root: &Path, work: &Path) -> io::Result<Self> {
        fs::create_dir_all(work)?;
        let tree = Self { root: root.canonicalize()?, work: work.canonicalize()? };
        if tree.root.starts_with(&tree.work) {
            return Err(io::Error::other("this runner was built from the copy and would empty it"));
        }
        let wanted = files(&tree.root)?;
        let listing = tree.work.join("files");
        let had = fs::read(&listing).map(|text| paths(&text)).unwrap_or_default();
        for gone in had.difference(&wanted) {
            fs::remove_file(tree.sources().join(gone)).or_else(none_is_fine)?;
        }
        for file in &wanted {
            tree.refresh(file)?;
        }
        let names: Vec<&[u8]> = wanted.iter().map(|path| path.as_os_str().as_bytes()).collect();
        fs::write(listing, names.join(&0))?;
        Ok(tree)
    }

    /// The root of the copy.
    pub fn sources(&self) -> PathBuf {
        self.work.join("tree")
    }

    /// Where it is built.
    pub fn target(&self) -> PathBuf {
        self.work.join("target")
    }

    /// Does something while the fault is planted.
    ///
    /// # Errors
    /// Files that cannot be read or written, and a fault that does not fit its file.
    pub fn with<T>(&self, mutant: &Mutant, act: impl FnOnce(&Self) -> T) -> io::Result<T> {
        let file = self.sources().join(&mutant.file);
        let source = fs::read_to_string(&file)?;
        fs::write(&file, mutant.apply(&source).map_err(io::Error::other)?)?;
        let result = act(self);
        fs::write(&file, source)?;
        Ok(result)
    }

    /// Copies one file unless the copy is the same.
    fn refresh(&self, file: &Path) -> io::Result<()> {
        let (from, to) = (self.root.join(file), self.sources().join(file));
        let bytes = fs::read(from)?;
        if fs::read(&to).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        fs::create_dir_all(to.parent().unwrap_or(&self.work))?;
        fs::write(to, bytes)
    }
}

/// The files of a tree that are not ignored, from its root.
fn files(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(list).current_dir(root).output()?;
    if !listed.status.success() {
        return Err(io::Error::other(format!("git does not know {}", root.display())));
    }
    let all = paths(&listed.stdout);
    Ok(all.into_iter().filter(|path| root.join(path).is_file()).collect())
}

fn paths(text: &[u8]) -> BTreeSet<PathBuf> {
    let names = text.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect()
}

fn none_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
