//! Where secrets of a person and of a machine usually lie: keys, tokens, keyrings, profiles of browsers.
//!
//! A list can never be whole; it keeps what is found in most homes from being read by mistake.

/// Below the home of the host's user: directories with all in them, or single files.
pub(crate) const AT_HOME: &[&str] = &[
    // Keys of a person.
    ".ssh",
    ".gnupg",
    ".password-store",
    ".pki",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".config/age",
    ".config/sops",
    // Clouds and clusters.
    ".aws",
    ".azure",
    ".config/gcloud",
    ".config/doctl",
    ".oci",
    ".kube",
    ".docker/config.json",
    ".config/containers/auth.json",
    ".terraform.d/credentials.tfrc.json",
    ".vault-token",
    // Forges, registries, hosts.
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings-security.xml",
    ".huggingface/token",
    ".cache/huggingface/token",
    // Databases and remote files.
    ".pgpass",
    ".my.cnf",
    ".s3cfg",
    ".boto",
    ".config/rclone",
    // Other agents.
    ".claude/.credentials.json",
    ".codex/auth.json",
    // Browsers and mail.
    ".mozilla",
    ".thunderbird",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/vivaldi",
    ".config/opera",
    ".librewolf",
    "snap/firefox/common/.mozilla",
    "snap/chromium/common/chromium",
    ".var/app/org.mozilla.firefox",
    ".var/app/com.google.Chrome",
    ".var/app/org.chromium.Chromium",
    ".config/op",
    ".config/Bitwarden",
];

/// Anywhere; absolute.
pub(crate) const OF_THE_MACHINE: &[&str] = &["/etc/shadow", "/etc/gshadow", "/run/secrets"];
