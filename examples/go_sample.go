// The contract's own Go sample, made whole: go run go_sample.go [URL]. The gateway: exgate serve
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
)

const jsonReq = ' ' // a GET needs no body; the contract's sample sends one all the same

func main() {

	url := "http://127.0.0.1:8000/v1/paper/depth?symbol=BTC/USDT&limit=5"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}

	headers := map[string][]string{
		"Accept": []string{"application/json"},
	}

	data := bytes.NewBuffer([]byte{jsonReq})
	req, err := http.NewRequest("GET", url, data)
	if err != nil {
		panic(err)
	}
	req.Header = headers

	client := &http.Client{}
	resp, err := client.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(resp.Header.Get("ExGate-Source"), resp.Header.Get("ExGate-Age"))
	fmt.Println(string(body))
}
