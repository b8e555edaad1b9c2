//! Links the targets that need an interpreter with the one of FUZZ_PYTHON: a folder and the name of a library in it.

fn main() {
    println!("cargo:rerun-if-env-changed=FUZZ_PYTHON");
    if let Ok(python) = std::env::var("FUZZ_PYTHON")
        && let Some((folder, library)) = python.split_once(' ')
    {
        for argument in [
            format!("-L{folder}"),
            format!("-l{library}"),
            format!("-Wl,-rpath,{folder}"),
        ] {
            println!("cargo:rustc-link-arg-bin=python_json={argument}");
        }
    }
}
