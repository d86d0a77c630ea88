use std::path::Path;
fn main() {
    let pid = std::env::args().nth(1).unwrap();
    let begin = std::time::Instant::now();
    let memory = holders::live::Live::open(&Path::new("/proc").join(&pid)).unwrap();
    let options = holders::Options {
        pid: pid.parse().ok(),
        ..Default::default()
    };
    let report = holders::inspect(&memory, &options);
    let took = begin.elapsed();
    match report {
        Err(e) => println!("{e}"),
        Ok(r) => {
            if std::env::args().nth(2).is_some() {
                println!("{}", r.json());
            }
            println!(
                "{} {:?} visits {} reads {} covered {} ±{} supposed {} cut {}",
                r.python, took, r.visits, r.reads, r.covered_bytes, r.covered_error_bytes, r.supposed_bytes, r.is_cut
            );
            for t in &r.threads {
                println!("{}", t.name);
                for f in &t.frames {
                    println!("   {}:{} {}", f.file, f.line, f.function)
                }
            }
            for v in r.variables.iter().take(25) {
                println!(
                    "{:>12} ±{:<9} excl {:>12} obj {:>9} {:?} {} in {}:{} {} | {} {:?} of {:?} | {} -> {}",
                    v.bytes,
                    v.error_bytes,
                    v.exclusive_bytes,
                    v.objects,
                    v.kind,
                    v.name,
                    v.frame.file.rsplit('/').next().unwrap(),
                    v.frame.line,
                    v.frame.function,
                    v.type_name,
                    v.length,
                    v.item_type,
                    v.path.join(" "),
                    v.path_type
                )
            }
            for t in r.types.iter().take(12) {
                println!("{:>12} {:>10} {}", t.bytes, t.objects, t.name)
            }
        }
    }
}
