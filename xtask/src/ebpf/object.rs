//! Contents of a BPF object: strips unnecessary sections, and compares the relevant ones.

use anyhow::Context as _;
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};
use std::collections::BTreeMap;

/// Sections that define the program's behaviour: instructions, maps, constants, license. Others contain debug
/// information, names and BTF, which depend on the folder of the build.
const PROGRAM: &[&str] = &["socket", ".text", "maps", ".rodata", "license"];

/// The object without debugging sections; BTF is kept, because the kernel and bpftool show it.
pub(super) fn strip(file: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder::read(file).context("cannot read the object")?;
    for section in &mut builder.sections {
        let name = section.name.to_vec();
        if name.starts_with(b".debug") || name.starts_with(b".rel.debug") {
            section.delete = true;
        }
    }
    // LLVM keeps all names in one table; this writer uses one for section names and one for symbol names.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = SHT_STRTAB;
        names.data = SectionData::SectionString;
    }
    builder.delete_orphans();
    builder.delete_unused_versions();
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("cannot write the object")?;
    Ok(stripped)
}

/// The bytes of a section, and the symbols that the loader inserts, by position.
type Content = (Vec<u8>, Vec<(u64, String)>);

/// The names of sections in which two programs differ.
pub(super) fn differences(one: &[u8], other: &[u8]) -> anyhow::Result<Vec<String>> {
    let (one, other) = (contents(one)?, contents(other)?);
    Ok(PROGRAM
        .iter()
        .filter(|name| one.get(**name) != other.get(**name))
        .map(|name| (*name).to_owned())
        .collect())
}

fn contents(file: &[u8]) -> anyhow::Result<BTreeMap<String, Content>> {
    let file = ElfFile64::<LittleEndian>::parse(file).context("cannot read the object")?;
    let mut all = BTreeMap::new();
    for section in file.sections() {
        let name = section.name()?.to_owned();
        let mut symbols = Vec::new();
        for (at, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            symbols.push((at, file.symbol_by_index(index)?.name()?.to_owned()));
        }
        all.insert(name, (section.data()?.to_owned(), symbols));
    }
    Ok(all)
}
