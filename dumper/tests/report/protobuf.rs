//! Protobuf without a schema, as text: what is on the wire, a line for each field of the outermost message.

/// Of pprof's profile, the fields that are messages, those that are texts, and those of a message that are messages.
const MESSAGES: [u64; 6] = [1, 2, 3, 4, 5, 11];
const TEXT: u64 = 6;
const LINE: (u64, u64) = (4, 4);

pub fn text(bytes: &[u8]) -> String {
    let fields = fields(bytes).into_iter().map(|(number, value)| match value {
        Value::Number(value) => format!("{number}: {value}\n"),
        Value::Bytes(bytes) if number == TEXT => format!("{number}: {:?}\n", std::str::from_utf8(bytes).unwrap()),
        Value::Bytes(bytes) if MESSAGES.contains(&number) => format!("{number}: {}\n", message(number, bytes)),
        Value::Bytes(bytes) => format!("{number}: {:?}\n", numbers(bytes)),
    });
    fields.collect()
}

fn message(within: u64, bytes: &[u8]) -> String {
    let fields = fields(bytes).into_iter().map(|(number, value)| match value {
        Value::Number(value) => format!("{number}: {value}"),
        Value::Bytes(bytes) if (within, number) == LINE => format!("{number}: {}", message(0, bytes)),
        Value::Bytes(bytes) => format!("{number}: {:?}", numbers(bytes)),
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(value)
            }
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn numbers(mut bytes: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        numbers.push(varint(&mut bytes));
    }
    numbers
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return number;
        }
    }
    panic!("a varint of more than ten bytes");
}
