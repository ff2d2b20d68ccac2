//! Generates code from the one IDL of the interop tests.

fn main() -> anyhow::Result<()> {
    let idl = "../idl/interop.thrift";
    println!("cargo::rerun-if-changed={idl}");
    volo_build::Builder::thrift().add_service(idl).ignore_unused(false).write()
}
