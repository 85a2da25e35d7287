//! The classic filter for `port 53`, and what the kernel makes of it.
//!
//! A classic filter runs as a program of the present kind that the kernel translates it into
//! (`bpf_convert_filter` in net/core/filter.c). Only programs of the present kind have statistics that can be
//! read, so that it is translated here in the same way, instruction by instruction.

use crate::kernel::Instruction;
use std::process::Command;

/// `tcpdump -ddd -y EN10MB port 53` (libpcap 1.10), without the count in its first line: code, jump if true, jump
/// if false, operand.
const PORT_53: &[(u16, u8, u8, u32)] = &[
    (40, 0, 0, 12),
    (21, 0, 8, 34525),
    (48, 0, 0, 20),
    (21, 2, 0, 132),
    (21, 1, 0, 6),
    (21, 0, 17, 17),
    (40, 0, 0, 54),
    (21, 14, 0, 53),
    (40, 0, 0, 56),
    (21, 12, 13, 53),
    (21, 0, 12, 2048),
    (48, 0, 0, 23),
    (21, 2, 0, 132),
    (21, 1, 0, 6),
    (21, 0, 8, 17),
    (40, 0, 0, 20),
    (69, 6, 0, 8191),
    (177, 0, 0, 14),
    (72, 0, 0, 14),
    (21, 2, 0, 53),
    (72, 0, 0, 16),
    (21, 0, 1, 53),
    (6, 0, 0, 262_144),
    (6, 0, 0, 0),
];

/// How octets of the packet are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// By instructions `LD_ABS` and `LD_IND`. A program of the present kind has a call for each of them.
    Call,
    /// As the kernel does it for a classic filter: at a constant offset without a call, where the packet is long
    /// enough. A socket filter may not; a program of traffic control may.
    Direct,
}

/// Whether the filter is the one that the tcpdump of this system makes; `None` without one.
pub(crate) fn is_that_of_tcpdump() -> Option<bool> {
    let output =
        Command::new("tcpdump").args(["-ddd", "-y", "EN10MB", "port", "53"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let own = PORT_53.iter().map(|(code, yes, no, k)| format!("{code} {yes} {no} {k}"));
    Some(text.lines().skip(1).eq(own))
}

// Registers, as the kernel gives them: A, X, one for a moment, the context, and the packet's bounds.
const A: u8 = 0;
const MOMENT: u8 = 2;
const CONTEXT: u8 = 6;
const X: u8 = 7;
const DATA: u8 = 8;
const END: u8 = 9;

/// The filter as a program of the present kind.
pub(crate) fn translate(load: Load) -> Vec<Instruction> {
    let mut out = vec![
        // A and X are 0, the context is kept. The kernel writes `x ^= x`, which its verifier takes from itself alone.
        Instruction::new(0xb4, A, 0, 0, 0),
        Instruction::new(0xb4, X, 0, 0, 0),
        Instruction::new(0xbf, CONTEXT, 1, 0, 0),
    ];
    if load == Load::Direct {
        // `data` and `data_end` of `__sk_buff`.
        out.push(Instruction::new(0x61, DATA, 1, 76, 0));
        out.push(Instruction::new(0x61, END, 1, 80, 0));
    }
    // Where each classic instruction begins, and which jumps go to which of them.
    let mut starts = Vec::new();
    let mut jumps = Vec::new();
    for (at, &(code, yes, no, operand)) in PORT_53.iter().enumerate() {
        starts.push(out.len());
        let immediate = operand.cast_signed();
        match code {
            // ldh [k], ldb [k]
            40 | 48 => absolute(&mut out, load, code == 40, immediate),
            // ldh [x + k]
            72 => out.push(Instruction::new(0x48, 0, X, 0, immediate)),
            // ldxb 4*([k]&0xf): A is kept meanwhile.
            177 => {
                out.push(Instruction::new(0xbf, X, A, 0, 0));
                absolute(&mut out, load, false, immediate);
                out.push(Instruction::new(0x54, A, 0, 0, 0xf));
                out.push(Instruction::new(0x64, A, 0, 0, 2));
                out.push(Instruction::new(0xbf, MOMENT, X, 0, 0));
                out.push(Instruction::new(0xbf, X, A, 0, 0));
                out.push(Instruction::new(0xbf, A, MOMENT, 0, 0));
            }
            // jeq, jset
            21 | 69 => {
                let (yes, no) = (at + 1 + usize::from(yes), at + 1 + usize::from(no));
                if code == 21 && yes == at + 1 {
                    // Equal goes on: one jump for what is not.
                    jumps.push((out.len(), no));
                    out.push(Instruction::new(0x55, A, 0, 0, immediate));
                } else {
                    jumps.push((out.len(), yes));
                    out.push(Instruction::new(
                        if code == 21 { 0x15 } else { 0x45 },
                        A,
                        0,
                        0,
                        immediate,
                    ));
                    if no != at + 1 {
                        jumps.push((out.len(), no));
                        out.push(Instruction::new(0x05, 0, 0, 0, 0));
                    }
                }
            }
            // ret k
            6 => {
                out.push(Instruction::new(0xb4, A, 0, 0, immediate));
                out.push(EXIT);
            }
            _ => unreachable!("the filter has no such instruction: {code}"),
        }
    }
    for (from, to) in jumps {
        let to = starts.get(to).expect("a jump within the filter");
        let by = i16::try_from(to - from - 1).expect("a short jump");
        out.get_mut(from).expect("an instruction of ours").jump(by);
    }
    out
}

/// What ends a program.
pub(crate) const EXIT: Instruction = Instruction::new(0x95, 0, 0, 0, 0);

/// Two octets or one at a constant offset, into A.
fn absolute(out: &mut Vec<Instruction>, load: Load, is_half: bool, offset: i32) {
    let call = Instruction::new(if is_half { 0x28 } else { 0x30 }, 0, 0, 0, offset);
    if load == Load::Direct {
        let near = i16::try_from(offset).expect("a small offset");
        let end = offset + if is_half { 2 } else { 1 };
        // Over the direct read if the packet ends before.
        let over = if is_half { 3 } else { 2 };
        out.push(Instruction::new(0xbf, MOMENT, DATA, 0, 0));
        out.push(Instruction::new(0x07, MOMENT, 0, 0, end));
        out.push(Instruction::new(0x2d, MOMENT, END, over, 0));
        out.push(Instruction::new(if is_half { 0x69 } else { 0x71 }, A, DATA, near, 0));
        if is_half {
            // From network byte order.
            out.push(Instruction::new(0xdc, A, 0, 0, 16));
        }
        out.push(Instruction::new(0x05, 0, 0, 1, 0));
    }
    out.push(call);
}
