// What malware in packages looks like in files that are not parsed here: shell, PowerShell, batch, JavaScript, native programs.
// Written for this project from public descriptions. A match is a second opinion beside the chains through Python code.

rule reverse_shell {
    meta: severity = "critical" what = "a shell is handed to a remote machine"
    strings:
        $bash = /bash\s+-i\s+>&?\s*\/dev\/tcp\/[\w.${}-]+\/[\d${}\w]+/
        $zero = /0<&\d+-?;\s*exec\s+\d+<>\/dev\/tcp\//
        $netcat = /\bn(c|cat)(\.exe)?\s+(-[a-z]+\s+)*-e\s+(\/bin\/(ba)?sh|cmd(\.exe)?)\s+[\w.$-]+\s+\d{2,5}/
        $netcat2 = /\bn(c|cat)(\.exe)?\s+(-[a-z]+\s+)*[\w.$-]+\s+\d{2,5}\s+-e\s+(\/bin\/(ba)?sh|cmd(\.exe)?)\b/
        $fifo = /mkfifo\s+\S+\s*;\s*cat\s+\S+\s*\|\s*(\/bin\/)?(ba)?sh\s+-i\s+2>&1\s*\|\s*n(c|cat)\s/
        $powershell = /New-Object\s+(System\.)?Net\.Sockets\.TCPClient\([^)]{4,80}\)[\s\S]{1,600}(iex|Invoke-Expression)/ nocase
    condition: any of them
}

rule powershell_download_cradle {
    meta: severity = "high" what = "PowerShell fetches what it runs, or hides what it runs"
    strings:
        $cradle = /(iex|Invoke-Expression)[\s(&]+[^\n]{0,80}(DownloadString\(|DownloadData\(|FromBase64String\()/ nocase
        $piped = /(DownloadString|DownloadData|FromBase64String)\([^\n|]{4,200}\|\s*(iex|Invoke-Expression)\b/ nocase
        $hidden = /powershell(\.exe)?["']?[^\n]{0,80}-w(indowstyle)?\s+hidden[^\n]{0,200}(-e(nc|ncodedcommand)?\s+[A-Za-z0-9+\/=]{24,}|DownloadFile|DownloadString|iwr\s|Start-Process)/ nocase
        $defender = /(Add|Set)-MpPreference\s+-(ExclusionPath|ExclusionProcess|DisableRealtimeMonitoring)/ nocase
    condition: any of them
}

rule batch_dropper {
    meta: severity = "high" what = "a Windows tool is used to fetch and start a program"
    strings:
        $certutil = /certutil(\.exe)?\s+(-\w+\s+)*-urlcache\s+(-\w+\s+)*(-f\s+)?https?:\/\// nocase
        $bits = /bitsadmin(\.exe)?\s+\/transfer\s+\S+\s+[^\n]{0,60}https?:\/\// nocase
        $mshta = /mshta(\.exe)?\s+["']?(https?:|vbscript:|javascript:)/ nocase
        $squiblydoo = /regsvr32(\.exe)?\s+[^\n]{0,80}\/i:https?:/ nocase
    condition: any of them
}

rule shell_dropper {
    meta: severity = "high" what = "a script fetches a program into a hidden or temporary place and starts it"
    strings:
        $hidden = /(curl|wget)\s[^\n]{4,300}(-o|-O|>)\s*["']?(\/tmp|\/var\/tmp|\/dev\/shm)\/\.?[\w.-]+["']?[^\n]{0,40}(&&|;|\n)\s*(sudo\s+)?chmod\s+(\+x|[0-7]*7[0-7]*)\s[^\n]{2,120}(&&|;|\n)[^\n]{0,80}(\/tmp|\/var\/tmp|\/dev\/shm)\//
        $history = /(unset\s+HISTFILE|HISTSIZE=0|history\s+-c)[\s\S]{0,400}(curl|wget)\s/
        $base64 = /echo\s+["']?[A-Za-z0-9+\/=]{80,}["']?\s*\|\s*base64\s+(-d|--decode|-D)\s*\|\s*(ba|z)?sh\b/
        $preload = /echo\s+[^\n]{2,80}>>?\s*\/etc\/ld\.so\.preload/
    condition: any of them
}

rule miner {
    meta: severity = "critical" what = "a program that mines money"
    strings:
        $pool = /stratum\+(tcp|ssl|tls):\/\/[\w.-]+:\d{2,5}/
        $name = "xmrig" nocase
        $a = "cryptonight" nocase
        $b = "randomx" nocase
        $c = "donate-level" nocase
        $d = "nicehash" nocase
    condition: $pool or ($name and 2 of ($a, $b, $c, $d))
}

rule packed_program {
    meta: severity = "high" what = "a native program is packed, so that nobody reads it"
    strings:
        $upx = "UPX!"
        $upx0 = "UPX0"
        $upx1 = "UPX1"
        $vmp = ".vmp0"
        $themida = ".themida"
        $mpress = ".MPRESS1"
    condition:
        (uint32(0) == 0x464C457F and $upx in (0..1024)) or
        (uint16(0) == 0x5A4D and (($upx0 in (0..2048) and $upx1 in (0..2048)) or any of ($vmp, $themida, $mpress) in (0..2048)))
}

rule frozen_python_program {
    meta: severity = "high" what = "a frozen Python program among the files of a Python package"
    strings:
        $cookie = { 4D 45 49 0C 0B 0A 0B 0E }
        $nuitka = "NUITKA_ONEFILE_PARENT"
    condition: (uint32(0) == 0x464C457F or uint16(0) == 0x5A4D) and (#cookie > 0 and $cookie in (filesize - 8192..filesize) or $nuitka)
}

rule native_stealer {
    meta: severity = "critical" what = "a native program reads the stores of browsers and wallets"
    strings:
        $1 = "Login Data" ascii wide
        $2 = "Local State" ascii wide
        $3 = "cookies.sqlite" ascii wide
        $4 = "key4.db" ascii wide
        $5 = "wallet.dat" ascii wide
        $6 = "exodus.wallet" ascii wide nocase
        $7 = "Local Storage\\leveldb" ascii wide
        $8 = "Ethereum\\keystore" ascii wide nocase
        $9 = "tdata" ascii wide fullword
    condition: (uint32(0) == 0x464C457F or uint16(0) == 0x5A4D or uint32(0) == 0xFEEDFACF) and 4 of them
}

rule obfuscated_javascript_that_runs {
    meta: severity = "high" what = "a script is obfuscated and starts processes or evaluates text"
    strings:
        $name = /\b_0x[0-9a-f]{4,6}\b/
        $run1 = "child_process"
        $run2 = /\beval\s*\(/
        $run3 = /\bFunction\s*\(\s*['"]/
        $run4 = "process.env"
        $run5 = "XMLHttpRequest"
        $run6 = "window.ethereum"
    condition: #name > 60 and any of ($run*)
}

rule javascript_stealer {
    meta: severity = "critical" what = "a script collects tokens and sends them away"
    strings:
        $token1 = ".npmrc"
        $token2 = "GITHUB_TOKEN"
        $token3 = "NPM_TOKEN"
        $token4 = /\.aws\/credentials/
        $token5 = "id_rsa"
        $token6 = "gh auth token"
        $hunt = "trufflehog"
        $worm1 = "npm publish"
        $worm2 = "/-/whoami"
        $worm3 = /repos\/[^\n]{0,40}\/contents\/\.github\/workflows/
        $send = /(https?\.request|fetch\(|axios\.post|\.createGist|\/user\/repos)/
    condition: (3 of ($token*) and $send and any of ($hunt, $worm1, $worm2, $worm3)) or ($hunt and any of ($worm*))
}

rule agent_used_for_a_hunt {
    meta: severity = "critical" what = "an AI agent is started without asking, to look for secrets"
    strings:
        $flag1 = "--dangerously-skip-permissions"
        $flag2 = "--yolo"
        $flag3 = "--trust-all-tools"
        $flag4 = "--allow-all-tools"
        $hunt1 = "wallet" nocase
        $hunt2 = "keystore" nocase
        $hunt3 = "id_rsa"
        $hunt4 = "mnemonic" nocase
    condition: any of ($flag*) and 2 of ($hunt*)
}

rule token_of_a_messenger {
    meta: severity = "high" what = "tokens of a messenger are looked for"
    strings:
        $store = /(discord(canary|ptb)?|Lightcord)[\\\/]+Local Storage[\\\/]+leveldb/ nocase
        $form1 = "[\\w-]{24}\\.[\\w-]{6}\\.[\\w-]{27}"
        $form2 = "mfa\\.[\\w-]{84}"
        $form3 = "dQw4w9WgXcQ:"
    condition: ($store and any of ($form*)) or 2 of ($form*)
}

rule password_dialog {
    meta: severity = "high" what = "a dialog asks for the password of the system"
    strings:
        $script = /osascript[^\n]{0,80}display dialog[^\n]{0,300}(password|with hidden answer)/ nocase
    condition: $script
}

rule secrets_of_a_pipeline {
    meta: severity = "high" what = "code writes a workflow that gives away every secret of a repository"
    strings:
        $all = /toJSON\(\s*secrets\s*\)/ nocase
        $write = ".github/workflows"
        $send = /(curl|webhook|requests\.post|fetch\()/
    condition: $all and $write and $send
}

rule python_obfuscator {
    meta: severity = "high" what = "the mark of a tool that makes Python unreadable"
    strings:
        $blank = /_{3,}\s*=\s*eval\(["']\\x67\\x65\\x74\\x61\\x74\\x74\\x72/
        $lambda = /_\s*=\s*lambda\s+__\s*:\s*__import__\(['"]zlib['"]\)\.decompress/
        $hyperion = /class\s+\w+:\s*\n\s*def\s+__init__\(self,\s*_+\w*\s*=\s*(0|False|True)/
        $exec = "exec("
        $kramer = /Kramer\.__decode__|class Kramer\(\)/
        $fuscate = /#\s*py-?fuscate|pyfuscate/ nocase
        $marshal = /exec\(\s*(__import__\(['"]marshal['"]\)|marshal)\.loads\(\s*b['"]/
    condition: $blank or $lambda or $kramer or $fuscate or $marshal or ($hyperion and #exec > 2)
}

rule source_in_a_cipher {
    meta: severity = "high" what = "the coding line of a source makes other text of it"
    strings:
        $coding = /coding[:=][ \t]*(rot[_-]?13|utf[_-]?7|(raw[_-])?unicode[_-]escape|hex([_-]codec)?|base64([_-]codec)?|uu([_-]codec)?|zlib([_-]codec)?|bz2([_-]codec)?|punycode|idna)\b/ nocase
    condition: $coding in (0..160) and uint8(0) == 0x23
}

rule script_of_six_characters {
    meta: severity = "high" what = "a script is written with six characters alone"
    strings:
        $text = "(![]+[])"
        $one = "[+!+[]]"
    condition: #text > 2 and #one > 1
}

rule script_that_reads_wallets {
    meta: severity = "critical" what = "a script looks for the wallets of browsers and sends something"
    strings:
        $1 = "nkbihfbeogaeaoehlefnkodbefgpgknn"
        $2 = "ejbalbakoplchlghecdalmeeeajnimhm"
        $3 = "fhbohimaelbohpjbbldcngcnapndodjp"
        $4 = "bfnaelmomeimhlpmgjnjophhpkkoljpa"
        $5 = "ibnejdfjmmkpcnlpebklmnkoeoihofec"
        $6 = "hnfanknocfeofbddgcijnmhnfnkdnaad"
        $7 = "aeachknmefphepccionboohckonoeemg"
        $8 = "hifafgmccdpekplomjjkcfgodnhcellj"
        $9 = "Local Extension Settings"
        $10 = "exodus.wallet"
        $11 = "solana/id.json"
        $12 = "Login Data"
        $send = /(\bfetch\(|\baxios\b|https?\.request|request\.post|FormData|formData|requests\.post|httpx\.post|urlopen|\bcurl\b)/
        $opens = /(readdirSync|readFileSync|createReadStream|os\.walk|shutil\.|sqlite3|Copy-Item|make_archive|open\()/
    condition: 2 of ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) and any of ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) and $send and $opens and uint32(0) != 0x464C457F and uint16(0) != 0x5A4D
}

rule program_of_another_is_changed {
    meta: severity = "high" what = "the program of a messenger or a wallet is changed"
    strings:
        $core = /discord_desktop_core/
        $asar = "app.asar"
        $wallet = /(atomic|exodus|ledger|trezor|electrum)/ nocase
        $unpacks = /(extractAll|createPackage)\(/
        $writes = /(writeFile|writeFileSync|\.write\()/
    condition: ($core and $writes) or ($asar and $wallet and $unpacks and $writes)
}
