//! A time zone by its name: `Europe/Berlin`, `UTC`.

use super::{Invalid, nearest, text_value};
use jiff::tz::TimeZone;
use std::{fmt, str::FromStr};

/// A time zone. Its rules are looked up when it is read: from the system, else those that the program brings.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// Its rules.
    pub fn get(&self) -> &TimeZone {
        &self.zone
    }
}

impl Default for Zone {
    fn default() -> Self {
        Zone { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name == other.name
    }
}

impl FromStr for Zone {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        if name == "UTC" {
            return Ok(Zone::default());
        }
        let zone = TimeZone::get(name).map_err(|_| {
            let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let meant = nearest(name, known.iter().map(String::as_str));
            let remedy = meant.map(|meant| format!("did you mean `{meant}`?"));
            let remedy = remedy.unwrap_or_else(|| "write one such as Europe/Berlin or UTC".to_owned());
            Invalid::new(format!("`{name}` is not a time zone"), remedy)
        })?;
        Ok(Zone { name: name.to_owned(), zone })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

text_value!(Zone, "Zone", "a time zone such as Europe/Berlin", {
    "type": "string",
    "description": "A time zone of the IANA's database.",
    "examples": ["Europe/Berlin", "America/New_York", "UTC"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_their_names() {
        for name in ["Europe/Berlin", "America/New_York", "UTC"] {
            assert_eq!(name.parse::<Zone>().unwrap().to_string(), name);
        }
        let fault = "Europe/Berlim".parse::<Zone>().unwrap_err();
        assert_eq!(fault.to_string(), "`Europe/Berlim` is not a time zone: did you mean `Europe/Berlin`?");
    }
}
